const two = require("./lib/two"); exports.main = () => ({two, three: require("./shared/three"), files: require("fs").readdirSync(__dirname).sort()})
