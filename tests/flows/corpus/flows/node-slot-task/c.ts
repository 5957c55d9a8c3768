const items: number[] = [];

export function main(inputs: { x: number }) {
  items.push(inputs.x);
  return { all: [...items].sort((a, b) => a - b) };
}
