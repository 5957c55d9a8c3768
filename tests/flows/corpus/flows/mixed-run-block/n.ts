export default async (_inputs: object, context: any) => {
  const { result } = await context.runBlock("self::inc", { inputs: { x: 7 } }).finish();
  return { y: result };
};
