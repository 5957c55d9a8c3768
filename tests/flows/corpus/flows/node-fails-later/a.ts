export default async function (_inputs: object, context: any) {
  setTimeout(() => { throw new Error("nobody waits for this"); }, 0);
  return context.keepAlive;
}
