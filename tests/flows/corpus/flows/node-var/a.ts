export default () => ({ v: new Map([["number", () => 5]]) });
