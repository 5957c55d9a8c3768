/**
 * TypeScript to JavaScript, one file at a time: types are taken out, enums, namespaces and parameter properties become
 * code, and imports of which only types are used vanish. The same transpiler on all releases of Node.js.
 */

import type * as Swc from "@swc/wasm-typescript";

import { cached } from "./cache.js";

/** JavaScript of one file, with its source map inside. */
export interface Transpiled {
  code: string;
  format: "module" | "commonjs";
}

/** Transpiles one file; `path` says how it is known in traces. Throws a `SyntaxError` that names the place. */
export function transpile(source: string, path: string): Transpiled {
  const code = cached(source, path, () => {
    const { code: plain, map } = transform(source, path);
    return map === undefined ? plain : `${plain}\n//# sourceMappingURL=${dataUrl(map)}\n`;
  });
  const format = formatOf(path, code);
  return { code: `${format === "module" ? preludeFor(code) : ""}${code}`, format };
}

function transform(source: string, path: string): Swc.TransformOutput {
  // Loaded when it is needed, which is seldom: it takes as long as the rest of the executor's start.
  const { transformSync } = require("@swc/wasm-typescript") as typeof Swc;
  try {
    return transformSync(source, {
      mode: "transform",
      filename: path,
      sourceMap: true,
      transform: { verbatimModuleSyntax: false, nativeClassProperties: true },
    });
  } catch (failure) {
    throw new SyntaxError(message(failure, path));
  }
}

/** What the transpiler throws is no `Error`. */
function message(failure: unknown, path: string): string {
  if (typeof failure !== "object" || failure === null || !("message" in failure)) {
    return `cannot transpile ${path}: ${String(failure)}`;
  }
  const { startLine, startColumn, snippet } = failure as Record<string, unknown>;
  const place = typeof startLine === "number" ? `:${startLine}:${Number(startColumn) + 1}` : "";
  return `${path}${place}: ${String(failure.message)}${typeof snippet === "string" ? `\n${snippet.trimEnd()}` : ""}`;
}

/** `.ts` is a module, unless it is plainly written for CommonJS. */
function formatOf(path: string, code: string): Transpiled["format"] {
  if (path.endsWith(".cts")) {
    return "commonjs";
  }
  const isModule = path.endsWith(".mts") || /^\s*(?:import|export)\b/m.test(code);
  return !isModule && /\b(?:module\.exports|exports\.\w+)\s*=/.test(code) ? "commonjs" : "module";
}

/**
 * Names of CommonJS that blocks use in modules all the same, as bundlers let them. One line without its end, so that
 * line numbers stay.
 */
function preludeFor(code: string): string {
  const parts: string[] = [];
  if (uses(code, "require")) {
    parts.push(
      'import { createRequire as oo$createRequire } from "node:module";',
      "const require = oo$createRequire(import.meta.url);",
    );
  }
  if (uses(code, "__filename") || uses(code, "__dirname")) {
    parts.push('import { fileURLToPath as oo$fileURLToPath } from "node:url";');
  }
  if (uses(code, "__filename")) {
    parts.push("const __filename = oo$fileURLToPath(import.meta.url);");
  }
  if (uses(code, "__dirname")) {
    parts.push('const __dirname = oo$fileURLToPath(new URL(".", import.meta.url)).slice(0, -1);');
  }
  return parts.join(" ");
}

/** Whether a name is used and not declared by the file itself. */
function uses(code: string, name: string): boolean {
  const isDeclared = new RegExp(
    `\\b(?:const|let|var|function|class)\\s+${name}\\b|^\\s*import\\b[^;]*\\b${name}\\b[^;]*from`,
    "m",
  );
  return new RegExp(`(?<![.\\w$])${name}\\b`).test(code) && !isDeclared.test(code);
}

function dataUrl(map: string): string {
  return `data:application/json;base64,${Buffer.from(map, "utf8").toString("base64")}`;
}
