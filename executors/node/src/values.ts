/**
 * The special types of values: variables, which stay in this process and cross as a reference, and binaries, which
 * cross as the path of a file.
 */

import { mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";

import type { HandlesDef } from "@oomol/oocana-sdk";

import { EXECUTOR, isObject } from "./messages.js";

const VARIABLE = "oomol/var";
const BINARY = "oomol/bin";

/** Whose values these are. */
export interface Owner {
  sessionId: string;
  sessionDir: string;
  jobId: string;
}

/** Objects that blocks of this process hand on, for as long as it lives. */
export class ValueStore {
  readonly #variables = new Map<string, unknown>();
  /** How often a handle of a job was given a special value: each gets a place of its own. */
  readonly #counts = new Map<string, number>();

  /** An output as it is sent. Throws when a binary is no bytes or cannot be written. */
  pack(value: unknown, handle: string, outputs: HandlesDef, owner: Owner): unknown {
    switch (outputs[handle]?.json_schema?.contentMediaType) {
      case VARIABLE:
        return isPlain(value) ? value : this.#packVariable(value, handle, owner);
      case BINARY:
        return this.#packBinary(value, handle, owner);
      default:
        return value;
    }
  }

  /** An input as a block sees it. Throws when a binary cannot be read. */
  unpack(value: unknown, handle: string, warn: (message: string) => void): unknown {
    if (!isObject(value)) {
      return value;
    }
    switch (value["__OOMOL_TYPE__"]) {
      case VARIABLE:
        return this.#unpackVariable(value, handle, warn);
      case BINARY:
        return readBinary(value["value"], handle);
      default:
        return value;
    }
  }

  #packVariable(value: unknown, handle: string, { sessionId, jobId }: Owner): unknown {
    const count = this.#count(sessionId, jobId, handle);
    const reference = { executor: EXECUTOR, handle, job_id: jobId, session_id: sessionId };
    // A handle that streams holds several values at a time; the first one is found without a number.
    const numbered = count === 1 ? reference : { ...reference, index: count };
    this.#variables.set(variableKey(numbered), value);
    return { __OOMOL_TYPE__: VARIABLE, value: numbered, serialize_path: null };
  }

  #unpackVariable(value: Record<string, unknown>, handle: string, warn: (message: string) => void): unknown {
    const reference = value["value"];
    const key = isObject(reference) ? variableKey(reference) : "";
    if (this.#variables.has(key)) {
      return this.#variables.get(key);
    }
    warn(
      `input \`${handle}\` refers to a variable that this executor process does not hold; ` +
        "variables cross only between blocks of one process, and the reference is passed instead",
    );
    return value;
  }

  #packBinary(value: unknown, handle: string, { sessionId, sessionDir, jobId }: Owner): unknown {
    const bytes = value instanceof ArrayBuffer ? new Uint8Array(value) : value;
    if (!(bytes instanceof Uint8Array)) {
      throw new TypeError(`output \`${handle}\` is a binary: give a Buffer, a Uint8Array or an ArrayBuffer`);
    }
    const count = this.#count(sessionId, jobId, handle);
    const name = encodeURIComponent(handle) + (count === 1 ? "" : `.${count}`);
    const path = join(sessionDir, "binary", encodeURIComponent(sessionId), encodeURIComponent(jobId), name);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(`${path}.part`, bytes);
    renameSync(`${path}.part`, path);
    return { __OOMOL_TYPE__: BINARY, value: path };
  }

  #count(...key: string[]): number {
    const name = key.join("/");
    const count = (this.#counts.get(name) ?? 0) + 1;
    this.#counts.set(name, count);
    return count;
  }
}

function readBinary(path: unknown, handle: string): Buffer {
  if (typeof path !== "string") {
    throw new TypeError(`input \`${handle}\` is a binary without a path`);
  }
  try {
    return readFileSync(path);
  } catch (cause) {
    throw new Error(`cannot read the binary input \`${handle}\` from ${path}`, { cause });
  }
}

function variableKey(reference: Record<string, unknown>): string {
  return ["session_id", "job_id", "handle", "index"].map((part) => String(reference[part] ?? "")).join("/");
}

/** What needs no reference: it is the same on every side. */
function isPlain(value: unknown): boolean {
  return typeof value === "string" || typeof value === "number" || typeof value === "boolean";
}
