export default function(){throw new Error("mapped")}
//# sourceMappingURL=mapped.js.map
