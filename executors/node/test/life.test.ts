import assert from "node:assert/strict";
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "node:test";

import { BLOCKS, Engine, type Executor, ofType, type Outcome, PROGRAM } from "./kit/engine.js";
import { alive, gone, withCommand } from "./kit/processes.js";

let engine: Engine;
let executor: Executor;

beforeEach(async () => {
  engine = await Engine.start();
  executor = await engine.spawn();
});
afterEach(() => engine.stop());

function run(name: string, inputs: Record<string, unknown> = {}): Promise<Outcome> {
  return engine.run({ entry: "life.mjs", function: name, inputs, outputs: ["line"] });
}

function call(name: string): string {
  return engine.call({ entry: "life.mjs", function: name });
}

async function exit(child: ChildProcess): Promise<[number | null, string | null]> {
  return (await once(child, "exit")) as [number | null, string | null];
}

test("what a block throws, now or later, ends its job with the block's own trace", async () => {
  const table = [
    { name: "throws", error: /^TypeError: thrown in the block\n {4}at throws \(.*life\.mjs:4:9\)$/ },
    { name: "throwsText", error: /^only text$/ },
    { name: "rejectsLater", error: /^Error: nobody listens\n {4}at rejectsLater \(.*life\.mjs:12:18\)$/ },
    { name: "throwsInTimer", error: /^Error: in a timer\n {4}at Timeout\._onTimeout \(.*life\.mjs:18:11\)$/ },
  ];
  for (const { name, error } of table) {
    assert.match(String((await run(name)).finished["error"]), error);
  }
  assert.equal((await run("afterTheEnd")).finished["error"], undefined);
  const late = await engine.waitReport(({ type }) => type === "BlockLog");
  assert.match(String(late["log"]), /^after the end of the block: Error: late\n/);
  assert.ok(alive(executor.process.pid ?? 0));
});

test("a block that calls process.exit ends its job, not the executor", async () => {
  assert.equal((await run("exits", { code: 0 })).finished["error"], undefined);
  assert.match(String((await run("exits", { code: 3 })).finished["error"]), /the block called process\.exit\(3\)/);
  assert.ok(alive(executor.process.pid ?? 0));
});

test("an error that belongs to no job ends all of them, and the executor", async () => {
  const { process: child, output } = await engine.spawn("outside", {
    NODE_OPTIONS: `--require ${join(BLOCKS, "outside.cjs")}`,
  });
  const ended = exit(child);
  const jobs = ["waits", "crashesProcess"].map((name) =>
    engine.call({ entry: "life.mjs", function: name, identifier: "outside" }),
  );
  for (const { finished } of await Promise.all(jobs.map((job) => engine.outcome(job)))) {
    assert.match(String(finished["error"]), /^Error: of no job\n/);
  }
  assert.deepEqual(await ended, [1, null]);
  assert.match(output(), /an error that belongs to no block: Error: of no job/);
});

test("an executor ends with its session, and with no other", async () => {
  call("waits");
  engine.finishSession("another");
  assert.equal((await run("afterTheEnd")).finished["error"], undefined);
  engine.finishSession();
  assert.deepEqual(await exit(executor.process), [0, null]);
});

test("an executor ends with its broker, and says so", async () => {
  const ended = exit(executor.process);
  await engine.broker.stop();
  assert.deepEqual(await ended, [1, null]);
  assert.match(executor.output(), /the broker at 127\.0\.0\.1:\d+: the broker closed the connection/);
});

test("a block that never lets go cannot hold the executor", async () => {
  call("spins");
  await engine.waitReport(({ log }) => log === "spinning");
  executor.process.kill("SIGTERM");
  assert.deepEqual(await exit(executor.process), [null, "SIGTERM"]);
});

test("what blocks have started is gone with the executor, however it ends", async () => {
  const ends: Array<(executor: Executor) => void> = [
    () => engine.finishSession(),
    ({ process }) => process.kill("SIGTERM"),
    ({ process }) => process.kill("SIGKILL"),
  ];
  for (const [index, end] of ends.entries()) {
    const identifier = String(index);
    const one = await engine.spawn(identifier);
    await engine.run({ entry: "life.mjs", function: "spawns", identifier });
    const pids = ["sleep 1001.5", "sleep 1002.5", "sleep 1003.5"].flatMap(withCommand);
    assert.ok(pids.length >= 4, `${pids.length} processes`);
    end(one);
    await Promise.all(pids.map(gone));
  }
});

test("an executor is gone with the process that started it, though the broker stays", async () => {
  const script =
    'const { spawn } = require("node:child_process");' +
    'const child = spawn(process.execPath, process.argv.slice(1), { stdio: "inherit" }); console.log(child.pid);';
  const words = [
    "--session-id",
    engine.sessionId,
    "--address",
    `127.0.0.1:${engine.broker.port}`,
    "--identifier",
    "orphan",
  ];
  words.push("--session-dir", engine.folder, "--tmp-dir", engine.folder);
  const env = { ...process.env, HOME: engine.home, IS_FORKED: "1" };
  const parent = spawn(process.execPath, ["-e", script, PROGRAM, ...words], {
    env,
    stdio: ["ignore", "pipe", "inherit"],
  });
  const [pid] = await once(parent.stdout, "data");
  await engine.wait(({ identifier }) => identifier === "orphan");
  parent.kill("SIGKILL");
  await gone(Number(String(pid)));
});

test("logs of blocks are cut, and the executor's own log holds no values", async () => {
  const { reported } = await run("shouts", { length: 1_000_000, lines: 3, broker: engine.broker.pid });
  const logs = ofType(reported, "BlockLog").map(({ log }) => String(log));
  assert.equal(logs.length, 3);
  assert.match(logs[0] ?? "", /^x{262144}… \[cut: 1000000 characters in all\]$/);
  const folder = join(engine.home, ".oocana", "sessions", engine.sessionId);
  const [name] = readdirSync(folder);
  assert.match(name ?? "", /^nodejs-.*\.log$/);
  assert.ok(statSync(join(folder, name ?? "")).size < 10_000);
  assert.match(readFileSync(join(folder, name ?? ""), "utf8"), /job .* finished/);
});

test("a flood of lines is thinned out, and the outputs are not", async () => {
  const { reported, sent } = await run("shouts", { length: 200_000, lines: 400, broker: engine.broker.pid });
  const logs = ofType(reported, "BlockLog").map(({ log }) => String(log));
  const missing = logs.map((log) => Number(/^\[(\d+) lines are missing/.exec(log)?.[1] ?? 0));
  const shown = logs.filter((log) => log.startsWith("x")).length;
  assert.equal(shown + missing.reduce((sum, count) => sum + count, 0), 400);
  assert.ok(shown < 300, `${shown} lines shown`);
  assert.equal(ofType(sent, "BlockOutput").length, 400);
});

test("a command line that is not usable", () => {
  const table = [
    { words: [], error: "the option --session-id is missing" },
    { words: ["--session-id", "s", "--session-dir", "d"], error: "the option --tmp-dir is missing" },
    {
      words: ["--session-id=s", "--session-dir=d", "--tmp-dir=t", "--address", "nowhere"],
      error: "is not of the form host:port",
    },
  ];
  for (const { words, error } of table) {
    const { status, stderr } = spawnSync(process.execPath, [PROGRAM, ...words], { encoding: "utf8" });
    assert.deepEqual([status, stderr.includes(error)], [2, true], stderr);
  }
  const words = ["--session-id=s", "--session-dir=d", "--tmp-dir=t", "--address=127.0.0.1:1"];
  const refused = spawnSync(process.execPath, [PROGRAM, ...words], {
    encoding: "utf8",
    env: { ...process.env, HOME: engine.home },
  });
  assert.equal(refused.status, 1);
  assert.match(refused.stderr, /the broker at 127\.0\.0\.1:1: .*ECONNREFUSED/);
});
