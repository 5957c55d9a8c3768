export default async function (_inputs: object, context: any) {
  await context.preview({ type: "markdown", data: "# shown" });
  await context.reportProgress(50);
}
