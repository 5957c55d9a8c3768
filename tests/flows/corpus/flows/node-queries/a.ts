export default async function (_inputs: object, context: any) {
  const task = await context.queryBlock("self::js_inc");
  const flow = await context.queryBlock("self::js_with_slot");
  const all = await context.queryDownstream();
  const one = await context.queryDownstream(["z"]);
  const [next] = one.z.to_node;
  const y = [
    [task.type, Object.keys(task.inputs_def), Object.keys(task.outputs_def)],
    [flow.type, Object.keys(flow.inputs_def), flow.has_slot],
    [next.node_id, next.input_handle, next.description],
    Object.keys(one),
    all.y.to_flow.map((to: { output_handle: string }) => to.output_handle),
  ];
  return { y, z: 1 };
}
