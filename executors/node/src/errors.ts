/** Errors as a person wants to read them: the block's own trace, with its causes, without the executor's frames. */

import { inspect } from "node:util";

import { cut } from "./text.js";

/** Characters of a described error. A message can hold a whole value. */
const MAX_LENGTH = 64 * 1024;
/** Causes and parts of an error that are shown. */
const MAX_RELATED = 5;

/** The message and trace of whatever was thrown, with causes and parts. At most 64 Ki characters and a note. */
export function describe(error: unknown): string {
  return cut(describeWhole(error, MAX_RELATED), MAX_LENGTH);
}

function describeWhole(error: unknown, depth: number): string {
  if (!(error instanceof Error)) {
    return typeof error === "string" ? error : inspect(error);
  }
  const lines = [trace(error)];
  if (depth > 0 && error instanceof AggregateError) {
    const parts = error.errors.slice(0, MAX_RELATED);
    lines.push(...parts.map((part, index) => `[part ${index + 1}]: ${describeWhole(part, depth - 1)}`));
  }
  if (depth > 0 && error.cause !== undefined) {
    lines.push(`[cause]: ${describeWhole(error.cause, depth - 1)}`);
  }
  return lines.join("\n");
}

/** The stack without frames of the executor and of Node.js. An error may carry any value as its stack. */
function trace(error: Error): string {
  const stack: unknown = error.stack;
  const head = `${error.name}: ${error.message}`;
  if (typeof stack !== "string") {
    return head;
  }
  // A stack is written when the error is made, so a message that was set later is missing from it.
  const whole = error.message === "" || stack.includes(error.message) ? stack : `${head}\n${stack}`;
  return whole
    .split("\n")
    .filter((line) => !isForeign(line))
    .join("\n");
}

function isForeign(line: string): boolean {
  return (
    /^\s+at /.test(line) &&
    (line.includes(__dirname) || line.includes("(node:internal/") || line.includes("at node:internal/"))
  );
}

/** Makes an error of whatever was thrown. */
export function toError(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(describe(thrown));
}
