// Splits a text into lines.
function main (params) {
  const payload = params.payload === undefined ? '' : params.payload;
  const lines = String(payload).split(params.separator || /\r?\n/);
  console.log('split payload:', payload, 'to', lines);
  return { lines, payload };
}
