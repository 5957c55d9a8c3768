const requests: [string, object, string][] = [
  ["self::js_inc", {}, "missing"],
  ["self::typed", { n: "text" }, "type"],
  ["self::nothing", {}, "not there"],
];

export default async function (_inputs: object, context: any) {
  const found: string[] = [];
  for (const [block, inputs, word] of requests) {
    try {
      await context.runBlock(block, { inputs }, true).finish();
      found.push("ran");
    } catch (error) {
      const text = String(error);
      found.push(text.includes(word) ? word : text);
    }
  }
  return { y: found };
}
