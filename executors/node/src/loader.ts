/** Finds the function of a block: the file, its module, the export. Modules are loaded once in a process. */

import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, realpathSync, renameSync, statSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";

import type { BlockExecutor } from "./messages.js";
import { enableTypeScript } from "./typescript/enable.js";

/** Any function: how it is called is the caller's matter. */
export type AnyFunction = (...args: unknown[]) => unknown;

/** The file of a block that names none. */
const DEFAULT_ENTRY = "main.ts";

const modules = new Map<string, Promise<Record<string, unknown>>>();

/** Loads the function of a block whose manifest is in `folder`. `name` is for code that comes without a file. */
export async function loadBlock(folder: string, executor: BlockExecutor, name: string): Promise<AnyFunction> {
  const { entry, source, function: wanted } = executor.options ?? {};
  const path = source ? writeSource(folder, name, source) : entryPath(folder, entry || DEFAULT_ENTRY);
  return findFunction(await loadModule(path), wanted ?? undefined, path);
}

/** Loads the function of a service. */
export async function loadService(folder: string, entry: string, wanted: string | undefined): Promise<AnyFunction> {
  const path = entryPath(folder, entry);
  return findFunction(await loadModule(path), wanted, path);
}

function entryPath(folder: string, entry: string): string {
  const path = resolve(folder, entry);
  if (!(statSync(path, { throwIfNoEntry: false })?.isFile() ?? false)) {
    throw new Error(`there is no file ${path}, which the block names as its entry`);
  }
  return realpathSync(path);
}

/** Keeps code that came with the job beside the block, so that its imports are found from there. */
function writeSource(folder: string, name: string, source: string): string {
  const scriptlets = join(folder, ".scriptlets");
  const digest = createHash("sha256").update(source).digest("hex").slice(0, 8);
  const safeName = name.replaceAll(/[^\w+#-]/g, "_") || "block";
  const path = join(scriptlets, `${safeName}-${digest}.ts`);
  mkdirSync(scriptlets, { recursive: true });
  if (statSync(path, { throwIfNoEntry: false }) === undefined || readFileSync(path, "utf8") !== source) {
    writeFileSync(`${path}.${process.pid}.part`, source);
    renameSync(`${path}.${process.pid}.part`, path);
  }
  return path;
}

function loadModule(path: string): Promise<Record<string, unknown>> {
  let loading = modules.get(path);
  if (loading === undefined) {
    if (/\.[mc]?ts$/.test(path)) {
      enableTypeScript();
    }
    loading = import(pathToFileURL(path).href) as Promise<Record<string, unknown>>;
    modules.set(path, loading);
  }
  return loading;
}

/** The named export, else `default`, else `main`; the same in a default export that is an object, as of CommonJS. */
function findFunction(module: Record<string, unknown>, wanted: string | undefined, path: string): AnyFunction {
  const inner = module["default"];
  const places = typeof inner === "object" && inner !== null ? [module, inner as Record<string, unknown>] : [module];
  for (const place of places) {
    for (const name of [wanted, "default", "main"]) {
      const found = name === undefined ? undefined : place[name];
      if (typeof found === "function") {
        return found as AnyFunction;
      }
    }
  }
  const names = [wanted, "default", "main"].filter((name) => name !== undefined).map((name) => `\`${name}\``);
  throw new Error(`${path} exports no function ${[...new Set(names)].join(" or ")}`);
}
