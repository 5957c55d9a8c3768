type Where = [data: string, name: string, process: number];

export default function ({ x, y }: { x: Where; y: Where }) {
  return { seen: [x[0], x[1], y[0], y[1], x[2] === process.pid, y[2] === process.pid] };
}
