export default async function (_inputs: object, context: any) {
  const seen: number[] = [];
  const job = context.runBlock("self::js_twice", { inputs: { x: 5 } });
  job.onOutput("y")((value: number) => seen.push(value));
  await job.finish();
  return { y: seen };
}
