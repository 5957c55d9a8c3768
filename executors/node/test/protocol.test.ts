import assert from "node:assert/strict";
import { cpSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";

import { BLOCKS, Engine, type Executor, ofType } from "./kit/engine.js";

let engine: Engine;
let executor: Executor;

before(async () => {
  engine = await Engine.start();
  executor = await engine.spawn();
});
after(() => engine.stop());

test("an executor says that it is ready, and for what", async () => {
  const { session_id, executor_name, package: folder, identifier } = executor.ready;
  assert.deepEqual([session_id, executor_name, folder, identifier], [engine.sessionId, "nodejs", BLOCKS, undefined]);
});

test("a job says that it can begin before it ends, and nothing else on the session's topic", async () => {
  const { sent, finished } = await engine.run({ entry: "plain.mjs", inputs: { a: 1 }, outputs: ["b"] });
  assert.deepEqual(
    sent.map(({ type }) => type),
    ["BlockReady", "BlockFinished"],
  );
  assert.deepEqual(finished["result"], { b: 2 });
});

test("a repeated call for a job runs it once", async () => {
  const call = { entry: "plain.mjs", jobId: "repeated", inputs: { a: 1 }, outputs: ["b"] };
  engine.call(call);
  await engine.run(call);
  await engine.run({ entry: "plain.mjs", inputs: { a: 1 } });
  assert.equal(ofType(engine.sent, "BlockReady").filter(({ job_id }) => job_id === "repeated").length, 1);
});

test("executors of one session answer for their own scope", async () => {
  await Promise.all([engine.spawn("one"), engine.spawn("two")]);
  const ids = await Promise.all(
    ["one", "two"].map(async (identifier) => {
      const { finished } = await engine.run({ entry: "api.ts", function: "counter", identifier, outputs: ["all"] });
      return finished["result"];
    }),
  );
  assert.deepEqual(ids, [{ all: 1 }, { all: 1 }]);
  const again = await engine.run({ entry: "api.ts", function: "counter", identifier: "two", outputs: ["all"] });
  assert.deepEqual(again.finished["result"], { all: 2 });
});

test("messages that make no sense are left out", async () => {
  for (const payload of ["", "{", "[]", "null", '{"session_id":1}', `{"session_id":"${engine.sessionId}"}`]) {
    await engine.client.publish("executor/nodejs/run_block", Buffer.from(payload));
  }
  const { finished } = await engine.run({ entry: "plain.mjs", inputs: { a: 4 }, outputs: ["b"] });
  assert.deepEqual(finished["result"], { b: 5 });
});

test("what a block may return", async () => {
  const table = [
    { what: "nothing", result: undefined },
    {
      what: "list",
      result: { a: 1 },
      warning: "Output handle key: [undeclared] is not defined in Block outputs schema.",
    },
    { what: "null", error: /must return an object of outputs or nothing, not null/ },
    { what: "number", error: /not 7/ },
  ];
  for (const { what, result, warning, error } of table) {
    const outcome = await engine.run({ entry: "api.ts", function: "returns", inputs: { what }, outputs: ["a", "b"] });
    assert.deepEqual(outcome.finished["result"], result, what);
    assert.match(String(outcome.finished["error"] ?? ""), error ?? /^$/, what);
    assert.deepEqual(
      ofType(outcome.reported, "BlockWarning").map((message) => message["warning"]),
      warning ? [warning] : [],
    );
  }
});

test("without definitions of outputs every output is dropped with a warning", async () => {
  const { finished, reported } = await engine.run({ entry: "plain.mjs", inputs: { a: 1 }, outputs: null });
  assert.deepEqual(finished["result"], {});
  assert.equal(ofType(reported, "BlockWarning").length, 1);
});

test("which function of a file is the block", async () => {
  const table = [
    { entry: "common.cjs", function: "other", seen: "other" },
    { entry: "common.cjs", function: "none", seen: "in" },
    { entry: "common.cjs", function: undefined, seen: "in" },
    { entry: "common.cts", function: undefined, seen: "common.cts" },
  ];
  for (const { seen, function: name, entry } of table) {
    const call = { entry, inputs: { a: "in" }, outputs: ["seen"], ...(name === undefined ? {} : { function: name }) };
    const { finished } = await engine.run(call);
    assert.deepEqual(finished["result"], { seen }, `${entry} ${name}: ${String(finished["error"])}`);
  }
});

test("a block that cannot be loaded fails and says why", async () => {
  const table = [
    { call: {}, error: /there is no file .*\/main\.ts, which the block names as its entry/ },
    { call: { entry: "lib" }, error: /there is no file .*\/lib,/ },
    { call: { entry: "lib/data.json" }, error: /data\.json/ },
    {
      call: { entry: "lib/shapes.ts", function: "none" },
      error: /shapes\.ts exports no function `none` or `default` or `main`/,
    },
  ];
  for (const { call, error } of table) {
    const { finished } = await engine.run(call);
    assert.match(String(finished["error"]), error);
  }
});

test("code that comes without a file is run beside the flow", async () => {
  const dir = join(engine.folder, "flow");
  cpSync(join(BLOCKS, "lib"), join(dir, "lib"), { recursive: true });
  const source =
    'import { Color } from "../lib/shapes";\nexport default (i: { a: number }) => ({ b: Color.Red + i.a });';
  const { finished } = await engine.run({ source, dir, nodeId: "../+ts#1", inputs: { a: 1 }, outputs: ["b"] });
  assert.deepEqual(finished["result"], { b: "red1" }, String(finished["error"]));
  assert.match(readdirSync(join(dir, ".scriptlets")).join(), /^___\+ts#1-[0-9a-f]{8}\.ts$/);
});

test("fifty jobs at once all end", async () => {
  const jobs = Array.from({ length: 50 }, (_, a) => engine.run({ entry: "plain.mjs", inputs: { a }, outputs: ["b"] }));
  const outcomes = await Promise.all(jobs);
  assert.deepEqual(
    outcomes.map(({ finished }) => finished["result"]),
    outcomes.map((_, a) => ({ b: a + 1 })),
  );
});
