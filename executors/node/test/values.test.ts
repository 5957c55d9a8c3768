import assert from "node:assert/strict";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";

import { type Call, Engine, ofType, type Outcome } from "./kit/engine.js";

const VARIABLE = { json_schema: { contentMediaType: "oomol/var" } };
const BINARY = { json_schema: { contentMediaType: "oomol/bin" } };
const SECRET = { type: "string", contentMediaType: "oomol/secret" };

let engine: Engine;

before(async () => {
  engine = await Engine.start();
  await engine.spawn();
});
after(() => engine.stop());

function run(name: string, more: Call = {}): Promise<Outcome> {
  return engine.run({ entry: "values.ts", function: name, outputs: ["seen", "text"], ...more });
}

test("variables and binaries cross between blocks", async () => {
  const outputs = { object: VARIABLE, plain: VARIABLE, bytes: BINARY, more: BINARY };
  const { jobId, sent, finished } = await run("make", { outputs });
  const [object, second] = ofType(sent, "BlockOutput").map((message) => message["output"]);
  const result = finished["result"] as Record<string, { value: string }>;
  const reference = { executor: "nodejs", handle: "object", job_id: jobId, session_id: engine.sessionId };
  assert.deepEqual(object, { __OOMOL_TYPE__: "oomol/var", value: reference, serialize_path: null });
  assert.equal(result["plain"], "text");
  const path = join(engine.folder, "session", "binary", engine.sessionId, jobId, "bytes");
  assert.deepEqual(result["bytes"], { __OOMOL_TYPE__: "oomol/bin", value: path });
  assert.deepEqual(readFileSync(path), Buffer.from([0, 1, 255]));
  assert.deepEqual(readFileSync(result["more"]?.value ?? ""), Buffer.from([7]));
  const taken = await run("take", { inputs: { object, second, bytes: result["bytes"] } });
  assert.deepEqual(taken.finished["result"], { seen: ["1", "2", true, "0001ff"] });
});

test("a variable of another process is passed as it is, with a warning", async () => {
  const object = {
    __OOMOL_TYPE__: "oomol/var",
    value: { executor: "python", handle: "h", job_id: "j", session_id: "s" },
  };
  const { finished, reported } = await run("echo", { inputs: { object } });
  assert.deepEqual(finished["result"], { seen: { object } });
  assert.match(String(ofType(reported, "BlockWarning")[0]?.["warning"]), /`object` refers to a variable/);
});

test("values that cannot be sent or read end the block with the reason", async () => {
  const missing = { bytes: { __OOMOL_TYPE__: "oomol/bin", value: "/nowhere" } };
  const table = [
    { call: run("wrong", { outputs: { bytes: BINARY } }), error: /output `bytes` is a binary: give a Buffer/ },
    {
      call: run("echo", { inputs: missing }),
      error: /cannot read the binary input `bytes` from \/nowhere\n[^]*ENOENT/,
    },
    { call: run("bigint"), error: /BigInt/ },
    { call: run("huge"), error: /MQTT carries at most 268435455 bytes[^]*at .*huge/ },
  ];
  for (const { call, error } of table) {
    assert.match(String((await call).finished["error"]), error);
  }
});

test("secrets are put in where schemas and texts name them", async () => {
  const folder = join(engine.home, "app-config", "oomol-secrets");
  mkdirSync(folder, { recursive: true });
  const secrets = [{ secretKey: "key", value: 'se"cret' }];
  writeFileSync(
    join(folder, "secrets.json"),
    JSON.stringify({ name: { secretType: "Custom", secretName: "name", secrets } }),
  );
  const path = "Custom,name,key";
  const { finished, reported } = await run("echo", {
    inputs: {
      root: path,
      deep: { list: [path], other: path },
      text: [`\${{OO_SECRET:${path}}}`, `not \${{OO_SECRET:${path}}}`],
      patched: { a: [path, path] },
      whole: path,
      unknown: "Custom,name,none",
    },
    inputsDef: {
      root: { json_schema: SECRET },
      deep: { json_schema: { type: "object", properties: { list: { type: "array", items: SECRET } } } },
      unknown: { json_schema: SECRET },
    },
    patch: {
      patched: [
        { path: ["a", 1], schema: SECRET },
        { path: ["b", 1], schema: SECRET },
      ],
      whole: [{ schema: SECRET }],
    },
  });
  assert.deepEqual(finished["result"], {
    seen: {
      root: 'se"cret',
      deep: { list: ['se"cret'], other: path },
      text: ['se"cret', `not \${{OO_SECRET:${path}}}`],
      patched: { a: [path, 'se"cret'] },
      whole: 'se"cret',
      unknown: "Custom,name,none",
    },
  });
  assert.match(String(ofType(reported, "BlockWarning")[0]?.["warning"]), /no secret `Custom,name,none`/);
});

test("credentials become references", async () => {
  const json_schema = { type: "string", contentMediaType: "oomol/credential" };
  const text = "${{OO_CREDENTIAL:github,mine,42}}";
  const inputs = { one: text, other: text, bad: "${{OO_CREDENTIAL:github,42}}" };
  const { finished } = await run("echo", { inputs, inputsDef: { one: { json_schema }, bad: { json_schema } } });
  assert.deepEqual(finished["result"], { seen: { ...inputs, one: { type: "github", name: "mine", id: "42" } } });
});

test("a value of 100 MB crosses", async () => {
  const text = "0123456789".repeat(10_000_000);
  const { finished } = await run("big", { inputs: { text } });
  assert.equal((finished["result"] as { text: string }).text.length, 100_000_001);
});
