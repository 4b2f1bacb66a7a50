// Answers its parameters.
function main (params) {
  console.log(params);
  return params || {};
}
