// What bundlers let blocks do, and the type stripping of Node.js does not.
import { basename } from "node:path";

import { Context } from "@oomol/oocana-sdk";

import data from "./lib/data.json";
import { Color, fail, Shape, Square } from "./lib/shapes";
import { Color as same } from "./lib/shapes.js";

export default async function (_inputs: unknown, _context: Context): Promise<Record<string, unknown>> {
  const square: Shape = new Square();
  const os = require("node:os") as typeof import("node:os");
  return {
    seen: [Color.Red, same.Red, square.sides, data.answer, basename(__dirname), basename(__filename), typeof os.EOL],
  };
}

export async function deep() {
  type Long = {
    takes: "lines";
    that: "vanish";
  };
  try {
    fail();
  } catch (cause) {
    throw new Error("at the surface", { cause } as { cause: Long });
  }
}
