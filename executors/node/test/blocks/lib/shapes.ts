export enum Color {
  Red = "red",
}

export namespace Geometry {
  export const sides = 4;
}

export interface Shape {
  sides: number;
}

export class Square implements Shape {
  constructor(public readonly sides: number = Geometry.sides) {}
}

export function fail(): never {
  throw new RangeError("from a helper");
}
