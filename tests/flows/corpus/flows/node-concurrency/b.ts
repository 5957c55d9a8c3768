let partner: (() => void) | undefined;

/** Each job waits for another one that runs at the same time. */
export async function main({ x }: { x: number }) {
  if (partner) {
    partner();
    partner = undefined;
  } else {
    await new Promise<void>((resolve) => (partner = resolve));
  }
  return { y: x };
}
