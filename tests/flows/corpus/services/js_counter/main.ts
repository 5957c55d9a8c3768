let calls = 0;

export function main(service: any) {
  service.blockHandler = {
    count: ({ x }: { x: unknown }) => ({ n: ["count", x, ++calls] }),
    other: ({ x }: { x: unknown }) => ({ n: ["other", x, ++calls] }),
  };
}
