import { readFileSync } from "node:fs";

import settings from "./settings.json";
import { Named, Shape, units } from "./shapes";

enum Kind {
  Round,
  Square = 4,
}

class Box implements Shape, Named {
  constructor(
    readonly kind: Kind,
    private readonly size: number,
  ) {}

  area = (): number => this.size ** 2;

  get name(): string {
    return Kind[this.kind] satisfies string;
  }
}

export default async function <T extends { size: number }>(inputs: T): Promise<Record<string, unknown>> {
  const box = new Box(Kind.Square, inputs.size);
  const own = readFileSync(__filename, "utf8").includes("satisfies string");
  return { y: [box.name, box.area(), units.label(box), settings.word, own] };
}
