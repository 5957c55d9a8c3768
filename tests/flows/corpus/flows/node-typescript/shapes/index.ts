export interface Shape {
  area(): number;
}

export type Named = { name: string };

export namespace units {
  export const label = (named: Named): string => `area of ${named.name}`;
}
