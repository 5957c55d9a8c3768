export default async function (inputs: { n: number }, context: any) {
  for (let item = 0; item < inputs.n; item++) await context.output("item", item);
}
