export default () => ({
  y: [null, true, false, 0, -1, 1.5, Number.MAX_SAFE_INTEGER, "", 'äé\u2028\u{1f600}"\\\n', [[]], { "": { deep: [{}] } }],
});
