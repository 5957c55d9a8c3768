/**
 * The log of one process: a file beside those of the engine, and standard error when no engine reads it.
 *
 * Bounded: entries are cut, and a file that has grown past its limit is kept once as `….log.1`.
 */

import { closeSync, fstatSync, mkdirSync, openSync, renameSync, writeSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";

import { cut } from "./text.js";

/** Characters of one entry. */
const MAX_ENTRY = 4096;
/** Bytes of one file. There are two of them at most. */
const MAX_FILE = 8 * 1024 * 1024;

/** Writes entries. Nothing here throws: a full disk must not end a flow. */
export class Log {
  #file: number | undefined;
  #size = 0;

  /** `path` is a file; `undefined` writes to standard error alone. */
  constructor(
    private readonly path: string | undefined,
    private readonly toConsole: boolean,
  ) {}

  /** Writes one entry. */
  write(message: string): void {
    const line = `${new Date().toISOString()} ${cut(message, MAX_ENTRY)}\n`;
    if (this.toConsole) {
      attempt(() => writeSync(2, line));
    }
    attempt(() => this.#append(line));
  }

  #append(line: string): void {
    if (this.path === undefined) {
      return;
    }
    if (this.#size > MAX_FILE && this.#file !== undefined) {
      closeSync(this.#file);
      this.#file = undefined;
      renameSync(this.path, `${this.path}.1`);
    }
    if (this.#file === undefined) {
      this.#file = openSync(this.path, "a");
      this.#size = fstatSync(this.#file).size;
    }
    this.#size += writeSync(this.#file, line);
  }
}

/** The log of a process: `name` is unique within the session; without a session it is one of a global service. */
export function openLog(sessionId: string | undefined, name: string): Log {
  const isAlone = process.env["IS_FORKED"] === undefined;
  const folders = sessionId === undefined ? ["services"] : ["sessions", fileName(sessionId)];
  const folder = join(homedir(), ".oocana", ...folders);
  try {
    mkdirSync(folder, { recursive: true });
    return new Log(join(folder, `${fileName(name)}.log`), isAlone);
  } catch {
    return new Log(undefined, isAlone);
  }
}

/** Session ids and identifiers come from outside and must not lead out of the folder. */
function fileName(text: string): string {
  const name = text.replaceAll(/[^\w.@+-]/g, "_").slice(0, 200);
  return /^\.+$/.test(name) ? "_" : name;
}

function attempt(work: () => void): void {
  try {
    work();
  } catch {
    // A log that cannot be written has nowhere to say so.
  }
}
