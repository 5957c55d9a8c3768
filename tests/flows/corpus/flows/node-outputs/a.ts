export default async function (_inputs: object, { outputs, output }: any) {
  await outputs({ x: 1, y: 2 });
  await output("t", 1, { to_node: [{ node_id: "b", input_handle: "in" }] });
  await output("t", 2, { to_node: [{ node_id: "c", input_handle: "in" }], to_flow: [{ output_handle: "f" }] });
  await output("other", 3);
}
