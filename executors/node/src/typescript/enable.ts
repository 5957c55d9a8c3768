/** Makes `import()` understand TypeScript, once, with the first block that needs it. */

import * as nodeModule from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

import * as hooks from "./hooks.js";

let isEnabled = false;

/** Installs the hooks: in this thread where Node.js can (from 22.15), else in the thread that it keeps for them. */
export function enableTypeScript(): void {
  if (isEnabled) {
    return;
  }
  isEnabled = true;
  const { registerHooks } = nodeModule as { registerHooks?: (hooks: object) => void };
  if (registerHooks !== undefined) {
    registerHooks({ resolve: hooks.resolve, load: hooks.load });
    return;
  }
  // Loads the transpiler in that thread while this one goes on.
  nodeModule.register(pathToFileURL(join(__dirname, "hooks.js")).href);
}
