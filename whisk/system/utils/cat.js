// Joins lines to one text.
function main (params) {
  const lines = params.lines || [];
  const payload = Array.isArray(lines) ? lines.join('\n') : String(lines);
  console.log('cat:', payload);
  return { lines, payload };
}
