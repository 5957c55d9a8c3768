export default (_inputs: object, context: any) => ({ y: ((context.flowNodeStore.own ??= []) as number[]).push(0) && 1 });
