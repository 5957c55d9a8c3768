import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";

import { topics } from "../src/messages.js";
import { alive, gone } from "./kit/processes.js";
import { Engine, type Outcome } from "./kit/engine.js";

const HASH = "0123456789abcdef";

let engine: Engine;

beforeEach(async () => {
  engine = await Engine.start();
  await engine.spawn();
});
afterEach(() => engine.stop());

function run(block: string, executor: object = {}, inputs: object = {}): Promise<Outcome> {
  return engine.runService(block, { entry: "service.ts", function: "main", ...executor }, inputs, ["seen"]);
}

/** Starts, calls and process of the service behind a job of its block `count`. */
function seen({ finished }: Outcome): [number, number, number] {
  assert.equal(finished["error"], undefined);
  return (finished["result"] as { seen: [number, number, number] }).seen;
}

test("a service starts once, keeps its state, and ends with its session", async () => {
  const all = (await Promise.all([run("count"), run("count"), run("count")])).map(seen);
  assert.deepEqual(
    all.map(([starts]) => starts),
    [1, 1, 1],
  );
  assert.deepEqual(all.map(([, calls]) => calls).sort(), [1, 2, 3]);
  const [, calls, pid] = seen(await run("count"));
  assert.equal(calls, 4);
  assert.ok(alive(pid));
  engine.finishSession();
  await gone(pid);
});

test("one function may serve all blocks", async () => {
  const { finished } = await run("any", { function: "oneForAll" }, { i: 1 });
  assert.deepEqual(finished["result"], { seen: ["any", { i: 1 }] });
});

test("messages reach the jobs of the service", async () => {
  const outcome = run("listen");
  const { job_id } = await engine.wait(({ type }) => type === "BlockReady");
  engine.publish(topics.serviceMessage, { job_id: "another", node_id: "n", flow_path: "f", payload: 1 });
  const send = (): void =>
    engine.publish(topics.serviceMessage, { job_id, node_id: "n", flow_path: "f", payload: "hello" });
  // The block listens some time after it is ready; what it misses is not kept for it.
  const timer = setInterval(send, 20);
  assert.deepEqual((await outcome).finished["result"], { seen: "hello" });
  clearInterval(timer);
});

test("what is wrong with a service ends its blocks", async () => {
  const table = [
    { block: "none", executor: { name: "svc" }, error: /`blockHandler` has no function `none`/ },
    {
      block: "crash",
      executor: { name: "svc" },
      error: /the service `svc` ended with SIGKILL before its block `crash` had finished/,
    },
    { block: "count", executor: { function: "broken" }, error: /^Error: the service does not start\n.*broken/ },
  ];
  for (const { block, executor, error } of table) {
    assert.match(String((await run(block, executor)).finished["error"]), error);
  }
});

test("a service that ends with its blocks waits for another one first", async () => {
  const executor = { stop_at: "block_end", keep_alive: 0 };
  const [, , pid] = seen(await run("count", executor));
  await gone(pid);
  const [starts, calls] = seen(await run("count", executor));
  assert.deepEqual([starts, calls], [1, 1]);
});

test("a service that outlives its session is found by the next executor", async () => {
  const executor = { stop_at: "Never" };
  const [, , pid] = seen(await run("count", executor));
  try {
    engine.finishSession();
    await engine.spawn("next");
    const service = { entry: "service.ts", function: "main", ...executor };
    for (const calls of [2, 3]) {
      assert.deepEqual(seen(await engine.runService("count", service, {}, ["seen"], "next")), [1, calls, pid]);
    }
    engine.publish(topics.service(undefined, HASH, "action/shutdown"), {});
    await gone(pid);
  } finally {
    if (alive(pid)) {
      process.kill(pid, "SIGKILL");
    }
  }
});
