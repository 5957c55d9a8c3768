module.exports = { main: (inputs) => ({ seen: inputs.a }), other: () => ({ seen: "other" }) };
