import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";

import type { Message } from "../src/messages.js";
import { BLOCKS, type Call, Engine, ofType, type Outcome } from "./kit/engine.js";

let engine: Engine;

before(async () => {
  engine = await Engine.start();
  await engine.spawn(undefined, {
    OOMOL_TOKEN: "t0ken",
    OOMOL_LLM_MODELS: "a,b",
    OOMOL_FUSION_API_URL: "http://fusion",
  });
});
after(() => engine.stop());

function run(name: string, more: Call = {}): Promise<Outcome> {
  return engine.run({ entry: "api.ts", function: name, outputs: ["all", "a", "b", "item", "last"], ...more });
}

/** One field of all messages of a type. */
function fields(messages: Message[], type: string, field: string): unknown[] {
  return ofType(messages, type).map((message) => message[field]);
}

test("a thousand outputs arrive in order, awaited or not", async () => {
  const numbers = Array.from({ length: 1000 }, (_, index) => index);
  for (const name of ["stream", "unawaited"]) {
    const { sent, finished } = await run(name, { inputs: { count: 1000 } });
    assert.deepEqual(fields(sent, "BlockOutput", "output"), numbers, name);
    assert.equal(sent.at(-1), finished);
  }
});

test("outputs go to their targets", async () => {
  const { sent, reported } = await run("targets");
  assert.deepEqual(fields(sent, "BlockOutput", "options"), [
    { target: { to_node: [{ node_id: "n", input_handle: "h" }] } },
    { target: { to_flow: [{ output_handle: "o" }] } },
  ]);
  assert.deepEqual(fields(sent, "BlockOutputs", "outputs"), [{ a: 3, b: 4 }]);
  assert.match(String(fields(reported, "BlockWarning", "warning")), /\[undeclared\] is not defined/);
});

test("errors, warnings, logs and messages are shown and end nothing", async () => {
  const { sent, reported, finished } = await run("reports");
  assert.match(
    String(fields(sent, "BlockError", "error")),
    /^Error: shown, not fatal\n {4}at reports \(.*api\.ts:\d+:\d+\)/,
  );
  assert.deepEqual(fields(reported, "BlockWarning", "warning"), ["take care"]);
  assert.deepEqual(fields(reported, "BlockLogJSON", "json"), [{ x: [1] }]);
  assert.deepEqual(fields(reported, "BlockMessage", "payload"), [{ hello: "you" }]);
  const logs = ofType(reported, "BlockLog");
  assert.deepEqual(
    logs.map(({ log, stdio }) => [log, stdio]),
    [
      ["by hand", "stderr"],
      ["to stdout", "stdout"],
      ["to stderr", "stderr"],
      ["no newline", "stdout"],
    ],
  );
  assert.deepEqual(logs[0]?.["stacks"], [{ flow_job_id: "flow-1", flow: "/flow.oo.yaml", node_id: "node" }]);
  assert.equal(logs[0]?.["block_path"], join(BLOCKS, "task.oo.yaml"));
  assert.equal(finished["error"], undefined);
});

test("progress is thinned out, and the last one is not lost", async () => {
  const { sent, reported } = await run("progress");
  const shown = fields(sent, "BlockProgress", "progress");
  assert.equal(shown[0], 0);
  assert.equal(shown.at(-1), 100);
  assert.ok(shown.length < 50, `${shown.length} reports`);
  assert.deepEqual(fields(reported, "BlockProgress", "progress"), shown);
});

test("previews are sent, tables as files", async () => {
  const { sent } = await run("previews");
  const [first, table] = fields(sent, "BlockRequest", "payload") as [unknown, { type: string; data: string }];
  assert.deepEqual(fields(sent, "BlockRequest", "action"), ["Preview", "Preview"]);
  assert.deepEqual(first, { type: "markdown", data: "# hi", id: "one" });
  assert.equal(table.type, "table");
  assert.equal(readFileSync(table.data, "utf8"), 'a,b\n1,"say ""x"", y"\n,true');
});

test("queries are answered by the engine", async () => {
  engine.onRequest = ({ action, block, handles, payload, node_id, weight }) => {
    switch (action) {
      case "QueryBlock":
        return block === "self::other" ? { result: { type: "task" } } : { error: "no such block" };
      case "QueryDownstream":
        return { result: { a: { asked: handles }, b: {} } };
      case "QueryAuth":
        return { result: { id: payload } };
      default:
        return { result: { node_id, weight } };
    }
  };
  const { finished, sent } = await run("queries");
  assert.deepEqual(finished["result"], {
    all: {
      block: { type: "task" },
      downstream: { a: { asked: ["a"] } },
      auth: { id: "vault-1" },
      refused: "QueryBlock failed: no such block",
    },
  });
  const weight = ofType(sent, "BlockRequest").find(({ action }) => action === "UpdateNodeWeight");
  assert.deepEqual([weight?.["node_id"], weight?.["weight"]], ["n", 3]);
});

test("a block runs another one", async () => {
  engine.onRequest = ({ action, block, block_job_id, payload, strict }) => {
    assert.equal(action, "RunBlock");
    const report = (message: object): void =>
      engine.publish("report", { session_id: engine.sessionId, job_id: block_job_id, ...message });
    if (block === "self::bad") {
      return { error: "no such block" };
    }
    if (block === "self::fails") {
      report({ type: "BlockFinished", error: "it failed" });
      return undefined;
    }
    assert.deepEqual([payload, strict], [{ inputs: { i: 1 } }, true]);
    engine.publish("report", { type: "BlockOutput", job_id: "of another", handle: "x", output: 9 });
    report({ type: "BlockOutput", handle: "x", output: 1 });
    report({ type: "BlockProgress", progress: 50 });
    report({ type: "SubflowBlockOutput", handle: "y", output: "a" });
    report({ type: "BlockFinished", result: { x: 2 } });
    return undefined;
  };
  const { finished } = await run("run");
  assert.deepEqual(finished["result"], {
    all: {
      seen: [{ x: 1 }, "x=1", "progress=50", { y: "a" }, [1, "a"], { x: 2 }, "x=2", "progress=100"],
      result: { x: 2, y: "a" },
      failure: "cannot run block `self::bad`: no such block",
      failed: "it failed",
    },
  });
});

test("what a block is told of its surroundings", async () => {
  const inputsDef = { i: { nullable: true } };
  const { finished } = await run("properties", { inputs: { i: 1 }, inputsDef, outputs: ["all"] });
  const { all } = finished["result"] as { all: Record<string, unknown> };
  const expected = {
    sessionId: engine.sessionId,
    jobId: finished["job_id"],
    node_id: "node",
    block_path: join(BLOCKS, "task.oo.yaml"),
    flowNodeStore: {},
    sessionDir: join(engine.folder, "session"),
    tmpDir: join(engine.folder, "tmp"),
    tmpPkgDir: join(engine.folder, "tmp", "blocks"),
    pkgDir: join(engine.folder, "data"),
    pkgDataDir: join(engine.folder, "data"),
    packageName: "blocks",
    hostInfo: { gpuVendor: "unknown", gpuRenderer: "unknown" },
    llm: { baseUrl: "", baseUrlV1: "", apiKey: "", models: ["a", "b"] },
    fusion: "http://fusion",
    inputs: { i: 1 },
    inputsDef: { i: { handle: "i", nullable: true } },
    outputsDef: { all: { handle: "all" } },
    isFrozen: true,
    keepAlive: "symbol",
  };
  assert.deepEqual(Object.fromEntries(Object.keys(expected).map((key) => [key, all[key]])), expected);
  assert.deepEqual((await run("token")).finished["result"], { all: "t0ken" });
});

test("a node keeps its store from job to job, another has its own", async () => {
  const counts = [];
  for (const nodeId of ["n1", "n1", "n2"]) {
    counts.push((await run("counter", { nodeId })).finished["result"]);
  }
  assert.deepEqual(counts, [{ all: 1 }, { all: 2 }, { all: 1 }]);
});

test("a block may end later, and only once", async () => {
  const { finished, sent } = await run("later");
  assert.deepEqual(finished["result"], { all: "later" });
  await run("counter");
  assert.deepEqual(
    sent.map(({ type }) => type),
    ["BlockReady", "BlockFinished"],
  );
  assert.equal(ofType(engine.sent, "BlockFinished").filter(({ job_id }) => job_id === finished["job_id"]).length, 1);
});

test("a block may end itself with an error", async () => {
  const { finished } = await run("fails");
  assert.match(String(finished["error"]), /^Error: by hand\n/);
});
