import assert from "node:assert/strict";
import { readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";

import { BLOCKS, Engine } from "./kit/engine.js";

let engine: Engine;

before(async () => {
  engine = await Engine.start();
  await engine.spawn("first", { XDG_CACHE_HOME: join(engine.folder, "cache") });
});
after(() => engine.stop());

async function run(entry: string, name = "default", identifier = "first"): Promise<Record<string, unknown>> {
  const { finished } = await engine.run({ entry, function: name, identifier, outputs: ["seen"] });
  return finished;
}

test("what bundlers take, this takes: enums, namespaces, imports without endings, names of CommonJS", async () => {
  const { result, error } = await run("features.ts");
  assert.deepEqual(result, { seen: ["red", "red", 4, 42, "blocks", "features.ts", "string"] }, String(error));
});

test("traces show lines and columns of what was written, with causes and without the executor", async () => {
  const { error } = await run("features.ts", "deep");
  const lines = String(error).split("\n");
  const place = (file: string): RegExp => new RegExp(`\\((?:file://)?${join(BLOCKS, file)}\\)$`);
  assert.equal(lines[0], "Error: at the surface");
  assert.match(lines[1] ?? "", place("features.ts:26:11"));
  assert.equal(
    lines.find((line) => line.startsWith("[cause]")),
    "[cause]: RangeError: from a helper",
  );
  assert.ok(
    lines.some((line) => place("lib/shapes.ts:18:9").test(line)),
    String(error),
  );
  assert.doesNotMatch(String(error), /dist\/src|node:internal/);
});

test("source maps of what was built are followed", async () => {
  assert.match(String((await run("mapped.js"))["error"]), /^Error: mapped\n.*original\.ts:11:1\)?$/m);
});

test("an error in the syntax names its place", async () => {
  const { error } = await run("syntax-error.ts");
  assert.match(String(error), /syntax-error\.ts:2:12: Unexpected token `=`[^]*const x: = 1;\n *\^/);
});

test("what was transpiled is kept for the next process, and never served stale", async () => {
  const cache = join(engine.folder, "cache", "oocana", "nodejs-executor");
  const kept = readdirSync(cache).sort();
  await engine.spawn("second", { XDG_CACHE_HOME: join(engine.folder, "cache") });
  assert.equal((await run("features.ts", "default", "second"))["error"], undefined);
  assert.deepEqual(readdirSync(cache).sort(), kept);

  const changing = join(engine.folder, "changing.ts");
  for (const value of [1, 2]) {
    writeFileSync(changing, `export default (): { seen: number } => ({ seen: ${value} });\n`);
    await engine.spawn(`of ${value}`, { XDG_CACHE_HOME: join(engine.folder, "cache") });
    assert.deepEqual((await run(changing, "default", `of ${value}`))["result"], { seen: value });
  }
});

test("a cache that cannot be written is none", async () => {
  await engine.spawn("third", { XDG_CACHE_HOME: "/dev/null" });
  assert.equal((await run("features.ts", "default", "third"))["error"], undefined);
});
