// Answers the time of the call.
function main () {
  return { date: new Date().toISOString() };
}
