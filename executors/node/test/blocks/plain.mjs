export default async function (inputs) {
  return { b: inputs.a + 1 };
}
