// Functions that the tests of the context call by name.
import type { Context } from "@oomol/oocana-sdk";

type Inputs = Record<string, any>;

export async function stream({ count }: Inputs, context: Context) {
  for (let index = 0; index < count; index += 1) {
    await context.output("item", index);
  }
}

export function unawaited({ count }: Inputs, context: Context) {
  for (let index = 0; index < count; index += 1) {
    void context.output("item", index);
  }
  return { last: count };
}

export async function targets(_: Inputs, { output, outputs }: Context) {
  await output("a", 1, { to_node: [{ node_id: "n", input_handle: "h" }] });
  await output("a", 2, { to_flow: [{ output_handle: "o" }] });
  await outputs({ a: 3, b: 4, undeclared: 5 });
}

export async function reports(_: Inputs, context: Context) {
  await context.error(new Error("shown, not fatal"));
  await context.warning("take care");
  await context.logJSON({ x: [1] });
  await context.sendMessage({ hello: "you" });
  await context.reportLog("by hand", "stderr");
  console.log("to stdout");
  console.error("to %s", "stderr");
  process.stdout.write("no newline");
}

export async function progress(_: Inputs, context: Context) {
  for (let value = 0; value <= 100; value += 1) {
    await context.reportProgress(value);
  }
}

export async function previews(_: Inputs, context: Context) {
  await context.preview({ type: "markdown", data: "# hi" }, "one");
  await context.preview({
    type: "table",
    data: {
      columns: ["a", "b"],
      rows: [
        [1, 'say "x", y'],
        [null, true],
      ],
    },
  });
}

export async function queries(_: Inputs, context: Context) {
  const block = await context.queryBlock("self::other");
  const downstream = await context.queryDownstream(["a"]);
  const auth = await context.queryAuth("vault-1");
  const refused = await context.queryBlock("self::none").catch((error: Error) => error.message);
  await context.internal.updateNodeWeight("n", 3);
  return { all: { block, downstream, auth, refused } };
}

export async function run(_: Inputs, context: Context) {
  const job = context.runBlock<{ x: number; y: string }>("self::other", { inputs: { i: 1 } }, true);
  const seen: unknown[] = [];
  job.onOutput((outputs) => seen.push(outputs));
  job.onOutput("x")((value) => seen.push(`x=${value}`));
  job.onProgress((value) => seen.push(`progress=${value}`));
  context.joinOutputs(job.onOutput("x"), job.onOutput("y"))((pair) => seen.push(pair));
  const { result } = await job.finish();
  const failure = await context
    .runBlock("self::bad")
    .finish()
    .catch((error: Error) => error.message);
  const failed = await context
    .runBlock("self::fails")
    .finish()
    .catch((error: Error) => error.message);
  context.runBlock("self::bad");
  return { all: { seen, result, failure, failed } };
}

export function properties(_: Inputs, context: Context) {
  const { keepAlive, inputs, inputsDef, outputsDef, ...rest } = context;
  return {
    all: {
      ...Object.fromEntries(Object.entries(rest).filter(([, value]) => typeof value !== "function")),
      tmpPkgDir: context.tmpPkgDir,
      llm: context.OOMOL_LLM_ENV,
      fusion: context.oomolFusionApiUrl,
      inputs,
      inputsDef,
      outputsDef,
      isFrozen: Object.isFrozen(inputs),
      keepAlive: typeof keepAlive,
    },
  };
}

export async function token(_: Inputs, context: Context) {
  return { all: await context.getOomolToken() };
}

export function counter(_: Inputs, { flowNodeStore }: Context) {
  flowNodeStore["count"] = (flowNodeStore["count"] ?? 0) + 1;
  return { all: flowNodeStore["count"] };
}

export function later(_: Inputs, context: Context) {
  setTimeout(() => {
    void context.finish({ result: { all: "later" } });
    void context.finish({ error: "too late" });
    void context.output("all", "too late");
  }, 1);
  return context.keepAlive;
}

export async function fails(_: Inputs, context: Context) {
  await context.finish({ error: new Error("by hand") });
  throw new Error("too late");
}

export function returns({ what }: Inputs, _: Context): any {
  return { nothing: undefined, null: null, number: 7, list: { a: 1, undeclared: 2, b: undefined } }[what as string];
}
