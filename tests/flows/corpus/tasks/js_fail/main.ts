export default async function () {
  throw new Error("this Node.js block is broken");
}
