export default ({ x }: { x: number }) => (x < 5 ? { again: x + 1 } : { done: x });
