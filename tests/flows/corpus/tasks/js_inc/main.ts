export default async function (inputs: { x: number }) {
  return { y: inputs.x + 1 };
}
