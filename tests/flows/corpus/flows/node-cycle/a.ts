export default ({ x }: { x: number }) => (x < 9 ? { next: x + 1 } : { done: x });
