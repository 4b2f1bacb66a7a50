// Web actions, made with the npm package openwhisk and visited with fetch: web.js REST AUTH
const assert = require('node:assert/strict')
const openwhisk = require('openwhisk')

const [rest, auth] = process.argv.slice(2)
const base = `${rest}/api/v1/web/guest/default`

async function main () {
  const ow = openwhisk({ apihost: rest, api_key: auth })
  const make = (name, action, annotations = {}) =>
    ow.actions.update({ name, action, kind: 'nodejs:default', annotations: { 'web-export': true, ...annotations } })

  await make('echo', 'function main(p) { return p }')
  await make('raw', 'function main(p) { return p }', { 'raw-http': true })
  await make('http', 'function main(p) { return { statusCode: p.status, headers: p.headers, body: p.body } }')

  // A form with a file stays what it is, in base64.
  const file = new FormData()
  file.set('file', new Blob([new Uint8Array([0, 255, 13, 10])]), 'bytes')
  let got = await (await fetch(`${base}/echo.json`, { method: 'POST', body: file })).json()
  const form = Buffer.from(got.__ow_body, 'base64')
  assert.ok(form.includes(Buffer.from([0, 255, 13, 10])))
  assert.match(got.__ow_headers['content-type'], /^multipart\/form-data; boundary=/)

  got = await (await fetch(`${base}/echo.json?a=1`, { method: 'POST', body: new URLSearchParams({ b: 'x y' }) })).json()
  assert.deepEqual([got.a, got.b, got.__ow_method], ['1', 'x y', 'post'])

  got = await (await fetch(`${base}/raw.json/some/path?a=%20b`, { method: 'PUT', body: 'text' })).json()
  assert.deepEqual([got.__ow_path, got.__ow_query, got.__ow_body], ['/some/path', 'a=%20b', 'text'])

  const http = body => fetch(`${base}/http`, { method: 'POST', redirect: 'manual', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body) })
  let answer = await http({ body: { a: 1 }, headers: { 'Set-Cookie': ['a=1', 'b=2'] } })
  assert.deepEqual([answer.status, await answer.json(), answer.headers.getSetCookie()], [200, { a: 1 }, ['a=1', 'b=2']])
  answer = await http({ status: 302, headers: { location: '/there' } })
  assert.deepEqual([answer.status, answer.headers.get('location'), await answer.text()], [302, '/there', ''])
  answer = await http({})
  assert.equal(answer.status, 204)
  answer = await http({ headers: { 'content-type': 'image/png' }, body: Buffer.from([137, 80, 0, 255]).toString('base64') })
  assert.deepEqual([...new Uint8Array(await answer.arrayBuffer())], [137, 80, 0, 255])

  // A stream, whose length is not announced, and one that is too long.
  const stream = size => new ReadableStream({
    start (c) {
      for (let sent = 0; sent < size; sent += 65536) c.enqueue(new Uint8Array(65536).fill(120))
      c.close()
    }
  })
  const send = size => fetch(`${base}/raw`, { method: 'POST', duplex: 'half', headers: { 'Content-Type': 'text/plain' }, body: stream(size) })
  assert.equal((await send(512 * 1024)).status, 204)
  answer = await send(2 * 1024 * 1024)
  assert.equal(answer.status, 413)
  assert.match((await answer.json()).error, /^Request larger than allowed: \d+ > 1048576 bytes\.$/)

  const preflight = await fetch(`${base}/echo`, { method: 'OPTIONS', headers: { 'Access-Control-Request-Headers': 'x-own' } })
  assert.deepEqual([preflight.status, preflight.headers.get('access-control-allow-headers')], [200, 'x-own'])

  const called = await fetch(`${base}/echo.json`)
  const record = await ow.activations.get({ name: called.headers.get('x-openwhisk-activation-id') })
  assert.equal(record.response.status, 'success')
}

main().catch(error => { console.error(error); process.exit(1) })
