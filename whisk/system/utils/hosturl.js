// Builds the URL of an action, a web action or a trigger of the caller.
function main ({ path = '', web = false, trigger = false, ext = '' }) {
  const host = process.env.__OW_API_HOST || '';
  const base = /^https?:\/\//.test(host) ? host : 'https://' + host;
  const namespace = process.env.__OW_NAMESPACE;
  const name = String(path).replace(/^\/+/, '');
  if (web) {
    return { url: `${base}/api/v1/web/${namespace}/${name.includes('/') ? name : 'default/' + name}${ext}` };
  }
  return { url: `${base}/api/v1/namespaces/${namespace}/${trigger ? 'triggers' : 'actions'}/${name}` };
}
