export default function (inputs: any) {
  console.log("from Node.js");
  return { out: inputs.in };
}
