// The seed scenario with the npm package openwhisk: seed.js REST ADMIN GATEWAY AUTH KEY
const assert = require('node:assert/strict')
const openwhisk = require('openwhisk')

const [rest, admin, gateway, auth, key] = process.argv.slice(2)

async function main () {
  const ow = openwhisk({ apihost: rest, api_key: auth })
  assert.deepEqual(await ow.namespaces.list(), ['guest'])

  const code = 'function main(p) { console.log("called"); return { ready: true, ...p } }'
  const created = await ow.actions.create({ name: 'test', action: code, kind: 'nodejs:14', params: { a: 1 } })
  assert.equal(created.version, '0.0.1')
  await assert.rejects(ow.actions.create({ name: 'test', action: code }), { statusCode: 409 })
  const updated = await ow.actions.update({ name: 'test', action: code, kind: 'nodejs:14' })
  assert.equal(updated.version, '0.0.2')
  assert.equal((await ow.actions.get({ name: 'test' })).exec.code, code)
  assert.equal((await ow.actions.list()).length, 1)

  assert.deepEqual(await ow.actions.invoke({ name: 'test', blocking: true, result: true, params: { b: 2 } }), { ready: true, a: 1, b: 2 })
  const { activationId } = await ow.actions.invoke({ name: 'test' })
  const record = await finished(ow, activationId)
  assert.equal(record.response.status, 'success')
  assert.equal((await ow.activations.list()).length, 2)
  assert.match((await ow.activations.logs({ name: activationId })).logs[0], /stdout: called$/)
  assert.deepEqual((await ow.activations.result({ name: activationId })).result, { ready: true, a: 1 })
  await assert.rejects(ow.actions.invoke({ name: 'none', blocking: true }), { statusCode: 404 })

  const route = { uri: '/hello', plugins: { openwhisk: { api_host: rest, service_token: auth, namespace: 'guest', action: 'test' } } }
  const put = await fetch(`${admin}/apisix/admin/routes/1`, { method: 'PUT', headers: { 'X-API-KEY': key }, body: JSON.stringify(route) })
  assert.equal(put.status, 201)
  assert.equal(await (await fetch(`${gateway}/hello`)).text(), '{"ready":true,"a":1}')

  assert.equal((await ow.actions.delete({ name: 'test' })).name, 'test')
  assert.equal((await fetch(`${gateway}/hello`)).status, 404)
}

// finished polls for a record that has ended, as clients of OpenWhisk do.
async function finished (ow, activationId) {
  for (let i = 0; i < 600; i++) {
    try {
      const record = await ow.activations.get({ name: activationId })
      if (record.end) return record
    } catch (error) {
      if (error.statusCode !== 404) throw error
    }
    await new Promise(resolve => setTimeout(resolve, 50))
  }
  throw new Error(`activation ${activationId} did not end`)
}

main().catch(error => { console.error(error); process.exit(1) })
