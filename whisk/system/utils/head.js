// Answers the first lines.
function main (params) {
  const lines = params.lines || [];
  const num = parseInt(params.num, 10) || 1;
  console.log('head get first', num, 'lines of', lines);
  return { lines: lines.slice(0, num), num };
}
