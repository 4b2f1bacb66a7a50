// Puts all parameters below one name.
function main (params) {
  const { $fieldName: name, ...others } = params;
  if (typeof name !== 'string') {
    return { error: "Expected an argument '$fieldName' of type 'string'." };
  }
  return { [name]: others };
}
