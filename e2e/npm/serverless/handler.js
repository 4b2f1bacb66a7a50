exports.hello = ({ greeting, name = 'world', __ow_path: path }) => {
  console.log(`greeting ${name}`)
  return path ? { body: { path } } : { text: `${greeting} ${name}` }
}

exports.shout = ({ text, mark }) => ({ text: text.toUpperCase() + mark })
