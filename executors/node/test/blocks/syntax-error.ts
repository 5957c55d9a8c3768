export default function (): number {
  const x: = 1;
  return x;
}
