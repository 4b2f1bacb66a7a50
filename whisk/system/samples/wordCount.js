// Counts the words of a text.
function main (params) {
  const text = String(params.payload === undefined ? '' : params.payload);
  const count = text.split(/\s+/).filter(Boolean).length;
  console.log(`The message '${text}' has`, count, 'words');
  return { count };
}
