/**
 * How Node.js resolves and loads modules once TypeScript is in play. Pure functions of an URL and what the next hook
 * would do; `enable.ts` installs them on the thread that the release of Node.js wants them on.
 */

import { readFileSync, statSync } from "node:fs";
import { fileURLToPath, pathToFileURL } from "node:url";

import { transpile } from "./transpile.js";

/** What `resolve` hooks give. */
export interface Resolved {
  url: string;
  [key: string]: unknown;
}

/** What `load` hooks give. */
export interface Loaded {
  format: string;
  source: string;
  shortCircuit: true;
}

/** Endings that an import may leave out, in this order. */
const ENDINGS = [".ts", ".mts", ".cts", ".js", ".mjs", ".cjs", ".json"];
/** Endings that an import may write for a file in TypeScript. */
const WRITTEN_AS: Record<string, string> = { ".js": ".ts", ".mjs": ".mts", ".cjs": ".cts" };

/** The file that a relative import means, when it is not named in full; `undefined` leaves it to Node.js. */
export function resolveFile(specifier: string, parentUrl: string | undefined): string | undefined {
  if (!/^\.{0,2}\//.test(specifier) || parentUrl?.startsWith("file:") !== true) {
    return undefined;
  }
  const path = fileURLToPath(new URL(specifier, parentUrl));
  if (isFile(path)) {
    return undefined;
  }
  const [, stem, ending] = /^(.*)(\.[mc]?js)$/.exec(path) ?? [];
  const written = stem === undefined || ending === undefined ? [] : [`${stem}${WRITTEN_AS[ending]}`];
  const left = [...ENDINGS.map((end) => path + end), ...ENDINGS.map((end) => `${path}/index${end}`)];
  const found = [...written, ...left].find(isFile);
  return found === undefined ? undefined : pathToFileURL(found).href;
}

/** The module of an URL, when it is in TypeScript, or JSON that is imported without saying so. */
export function loadFile(url: string, attributes: Record<string, string> | undefined): Loaded | undefined {
  const [, ending] = /^file:[^?#]*(\.[mc]?ts|\.json)(?:[?#]|$)/.exec(url) ?? [];
  if (ending === undefined || (ending === ".json" && attributes?.["type"] !== undefined)) {
    return undefined;
  }
  const path = fileURLToPath(url);
  const text = readFileSync(path, "utf8");
  if (ending === ".json") {
    return { format: "module", source: `export default JSON.parse(${JSON.stringify(text)});`, shortCircuit: true };
  }
  const { code, format } = transpile(text, path);
  return { format, source: code, shortCircuit: true };
}

type NextResolve = (specifier: string, context: unknown) => unknown;
type NextLoad = (url: string, context: unknown) => unknown;

/** The hook of Node.js, for both kinds of threads. */
export function resolve(specifier: string, context: { parentURL?: string }, next: NextResolve): unknown {
  return next(resolveFile(specifier, context.parentURL) ?? specifier, context);
}

/** The hook of Node.js, for both kinds of threads. */
export function load(url: string, context: { importAttributes?: Record<string, string> }, next: NextLoad): unknown {
  return loadFile(url, context.importAttributes) ?? next(url, context);
}

function isFile(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isFile() ?? false;
}
