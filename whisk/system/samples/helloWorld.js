// Shows where the log lines of an action go.
function main (params) {
  console.log(params);
  return {};
}
