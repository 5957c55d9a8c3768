export default ({ x }: { x: number }) => (x < 21 ? { next: x + 1 } : { done: x });
