// Fetches a page.
async function main (params) {
  const url = String(params.payload || '');
  const response = await fetch(/^[a-z]+:\/\//i.test(url) ? url : 'http://' + url, { redirect: 'manual' });
  const msg = await response.text();
  console.log(msg);
  return { msg };
}
