type Numbers = { y: number };

export default async function (_inputs: object, context: any) {
  const seen: unknown[] = [];
  const one = context.runBlock<Numbers>("self::js_inc", { inputs: { x: 5 } });
  one.onOutput("y")((value: number) => seen.push(value));
  const { result } = await one.finish();
  seen.push(result);
  const why = await context.runBlock("self::js_fail", { inputs: {} }).finish().catch((error: Error) => error.message);
  const word = "this Node.js block is broken";
  const items: number[] = [];
  const many = context.runBlock("self::js_emit", { inputs: { n: 3 } });
  many.onOutput("item")((item: number) => items.push(item));
  await many.finish();
  return { y: [seen, why.includes(word) ? word : why, items] };
}
