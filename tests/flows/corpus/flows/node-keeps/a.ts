export default function (_inputs: object, context: any) {
  context.flowNodeStore.count = (context.flowNodeStore.count ?? 0) + 1;
  console.log("kept %d", context.flowNodeStore.count);
  setImmediate(() => context.finish({ result: { y: context.flowNodeStore.count } }));
  return context.keepAlive;
}
