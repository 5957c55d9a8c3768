/**
 * Transpiled files, kept from process to process: the transpiler takes longer to load than all else at the start of an
 * executor, and each scope of each run has one. Keyed by content, so nothing in it is ever stale. A cache that cannot
 * be read or written is none.
 */

import { createHash } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";

/** Part of every key, with the version of the transpiler. To be raised when its options change. */
const FORMAT = 1;
/** When there are more files than this, all are removed: a few megabytes that are soon made again. */
const MAX_FILES = 2000;

/** Gives the text that `make` makes of a file, from the cache when it was made before. */
export function cached(source: string, path: string, make: () => string): string {
  const { version } = require("@swc/wasm-typescript/package.json") as { version: string };
  const key = createHash("sha256")
    .update(JSON.stringify([FORMAT, version, path, source]))
    .digest("hex");
  const folder = join(process.env["XDG_CACHE_HOME"] || join(homedir(), ".cache"), "oocana", "nodejs-executor");
  const file = join(folder, `${key}.js`);
  try {
    return readFileSync(file, "utf8");
  } catch {
    const made = make();
    keep(folder, file, made);
    return made;
  }
}

function keep(folder: string, file: string, text: string): void {
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    const names = readdirSync(folder);
    if (names.length > MAX_FILES) {
      names.forEach((name) => rmSync(join(folder, name), { force: true }));
    }
    const part = `${file}.${process.pid}.part`;
    writeFileSync(part, text, { mode: 0o600 });
    renameSync(part, file);
  } catch {
    // The next process makes it again.
  }
}
