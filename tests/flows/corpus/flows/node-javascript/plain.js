module.exports = ({ x }) => ({ y: [x[0], x[1], "js", x[2]] });
