// Every resource of the npm package openwhisk, with its options and errors:
// resources.js REST AUTH
const assert = require('node:assert/strict')
const { randomUUID } = require('node:crypto')
const openwhisk = require('openwhisk')

const [rest, auth] = process.argv.slice(2)
const ow = openwhisk({ apihost: rest, api_key: auth })
const echo = 'function main(p) { console.log("called"); return p }'
const hex = /^[0-9a-f]{32}$/

// refused checks the OpenWhiskError of a call that must fail.
function refused (call, statusCode, text) {
  return assert.rejects(call, error => {
    assert.equal(error.name, 'OpenWhiskError')
    assert.equal(error.statusCode, statusCode)
    assert.match(error.message, text)
    return true
  })
}

// eventually tries again until the check does not throw.
async function eventually (check) {
  for (let tries = 0; ; tries++) {
    try {
      return await check()
    } catch (error) {
      if (tries === 1200) throw error
      await new Promise(resolve => setTimeout(resolve, 25))
    }
  }
}

const annotationsOf = entity => Object.fromEntries(entity.annotations.map(({ key, value }) => [key, value]))

async function actions () {
  const made = await ow.actions.create({ name: 'text', action: echo, kind: 'nodejs:20', params: { a: 1 }, annotations: { note: 'x' }, limits: { timeout: 5000, memory: 128 }, version: '1.2.3' })
  assert.deepEqual([made.namespace, made.version, made.exec.kind, made.exec.binary], ['guest', '1.2.3', 'nodejs:20', false])
  assert.deepEqual(made.parameters, [{ key: 'a', value: 1 }])
  assert.deepEqual(annotationsOf(made), { note: 'x', 'provide-api-key': false, exec: 'nodejs:20' })
  assert.deepEqual([made.limits.timeout, made.limits.memory, made.limits.logs], [5000, 128, 10])
  await refused(ow.actions.create({ name: 'text', action: echo }), 409, /--> "resource already exists"$/)

  const updated = await ow.actions.update({ name: 'text', annotations: { more: true } })
  assert.equal(updated.version, '1.2.4')
  assert.deepEqual([updated.exec.code, annotationsOf(updated).note, annotationsOf(updated).more], [echo, 'x', true])
  assert.equal((await ow.actions.create({ name: 'text', action: echo, overwrite: true })).version, '1.2.5')
  assert.equal((await ow.actions.get('text')).exec.code, echo)
  assert.equal((await ow.actions.get({ actionName: 'text', code: false })).exec.code, undefined)

  await ow.actions.create({ name: 'zipped', action: zip('index.js', 'exports.main = p => ({ zipped: p.n })'), kind: 'nodejs:default' })
  assert.deepEqual(await ow.actions.invoke({ name: 'zipped', blocking: true, result: true, params: { n: 1 } }), { zipped: 1 })
  await ow.actions.create({ name: 'object', action: { exec: { kind: 'nodejs:default', code: 'function other() { return { main: "other" } }', main: 'other' } } })
  await ow.actions.create({ name: 'python', action: 'def main(args):\n    return {"python": args.get("n")}', kind: 'python:default' })
  const all = await Promise.all([
    ow.actions.invoke({ name: 'object', blocking: true, result: true }),
    ow.actions.invoke({ name: 'python', blocking: true, result: true, params: { n: 2 } })
  ])
  assert.deepEqual(all, [{ main: 'other' }, { python: 2 }])

  await ow.actions.create({ name: 'row', sequence: ['/guest/text', '/_/python'] })
  assert.deepEqual(await ow.actions.invoke({ name: 'row', blocking: true, result: true, params: { n: 3 } }), { python: 3 })
  assert.deepEqual((await ow.actions.get('row')).exec.components, ['/guest/text', '/guest/python'])

  assert.deepEqual((await ow.actions.list()).map(a => a.name), ['row', 'python', 'object', 'zipped', 'text'])
  assert.deepEqual((await ow.actions.list({ skip: 1, limit: 2 })).map(a => a.name), ['python', 'object'])
  assert.deepEqual(await ow.actions.list({ count: true }), { actions: 5 })
  await refused(ow.actions.list({ limit: 201 }), 400, /The value '201' is not in the range of 0 to 200 for actions\./)

  await refused(ow.actions.get('none'), 404, /^GET http.*\/actions\/none Returned HTTP 404 \(Not Found\) --> "The requested resource does not exist\."$/)
  await refused(ow.actions.create({ name: 'bad', action: 'x', kind: 'cobol:1' }), 400, /The specified runtime 'cobol:1' is not supported by this platform/)
  await refused(ow.actions.create({ name: '$hola', action: 'x' }), 400, /illegal characters/)
  await refused(ow.actions.create({ name: 'bad', action: echo, limits: { memory: 64 } }), 400, /memory size 64 MB below allowed threshold of 128 MB/)
  await refused(ow.actions.get('/other/x'), 403, /The supplied authentication is not authorized to access 'other\/x'\./)
  const [gone, row] = await ow.actions.delete(['object', 'row'])
  assert.deepEqual([gone.name, row.name], ['object', 'row'])
}

// zip makes an archive with one stored file.
function zip (name, text) {
  const data = Buffer.from(text)
  const path = Buffer.from(name)
  let crc = ~0
  for (const byte of data) {
    crc ^= byte
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0)
  }
  const fields = Buffer.alloc(26)
  fields.writeUInt16LE(20, 0)
  fields.writeUInt32LE(~crc >>> 0, 10)
  fields.writeUInt32LE(data.length, 14)
  fields.writeUInt32LE(data.length, 18)
  fields.writeUInt16LE(path.length, 22)
  const local = Buffer.concat([Buffer.from('PK\x03\x04', 'latin1'), fields, path, data])
  const entry = Buffer.concat([Buffer.from('PK\x01\x02\x14\x00', 'latin1'), fields, Buffer.alloc(14), path])
  const end = Buffer.alloc(22)
  end.write('PK\x05\x06', 'latin1')
  end.writeUInt16LE(1, 8)
  end.writeUInt16LE(1, 10)
  end.writeUInt32LE(entry.length, 12)
  end.writeUInt32LE(local.length, 16)
  return Buffer.concat([local, entry, end])
}

async function activations () {
  const since = Date.now()
  const called = await ow.actions.invoke({ name: 'text', params: { b: 2 } })
  assert.match(called.activationId, hex)
  const record = await eventually(async () => {
    const record = await ow.activations.get(called.activationId)
    assert.ok(record.end)
    return record
  })
  assert.deepEqual([record.namespace, record.name, record.subject, record.response.status, record.response.success], ['guest', 'text', 'guest', 'success', true])
  assert.deepEqual(record.response.result, { a: 1, b: 2 })
  assert.equal(annotationsOf(record).path, 'guest/text')
  for (const name of ['name', 'activation', 'activationId']) {
    assert.match((await ow.activations.logs({ [name]: called.activationId })).logs[0], /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z +stdout: called$/)
  }
  assert.deepEqual(await ow.activations.result({ name: called.activationId }), { result: { a: 1, b: 2 }, status: 'success', success: true, size: record.response.size })

  const blocking = await ow.actions.invoke({ name: 'text', blocking: true })
  assert.deepEqual([blocking.response.result, blocking.logs], [{ a: 1 }, []])

  const list = await ow.activations.list({ name: 'text', since, limit: 2 })
  assert.deepEqual(list.map(a => a.activationId), [blocking.activationId, called.activationId])
  assert.deepEqual([list[0].statusCode, list[0].response, list[0].logs], [0, undefined, undefined])
  assert.deepEqual((await ow.activations.list({ name: 'text', skip: 1, limit: 1 })).map(a => a.activationId), [called.activationId])
  assert.deepEqual((await ow.activations.list({ docs: true, limit: 1 }))[0].response.result, { a: 1 })
  assert.deepEqual(await ow.activations.list({ name: 'text', since, count: true }), { activations: 2 })
  assert.deepEqual(await ow.activations.list({ name: 'text', upto: 1 }), [])

  await refused(ow.activations.get('f'.repeat(32)), 404, /The requested resource does not exist\./)
  await refused(ow.activations.get('zzz'), 400, /Activation id length is 3 but must be 32\./)
  assert.throws(() => ow.activations.get({}), /Missing/)
}

// What a failing action's caller gets, by the kind of its failure.
async function failures () {
  await ow.actions.create({ name: 'fails', action: 'function main({ how }) { if (how === "throws") throw new Error("boom"); return { error: how === "object" ? { statusCode: 418 } : "boom" } }' })
  const invoke = params => ow.actions.invoke({ name: 'fails', blocking: true, params })
  await refused(invoke({}), 502, /Returned HTTP 502 \(Bad Gateway\) --> "boom"$/)
  await refused(invoke({ how: 'object' }), 502, /--> "application error, status code: 418"$/)
  await assert.rejects(invoke({ how: 'throws' }), error => {
    const { activationId, response } = error.error
    assert.match(activationId, hex)
    assert.deepEqual(response.result, { error: 'An error has occurred: Error: boom' })
    assert.equal(response.status, 'action developer error')
    return true
  })
  await refused(ow.actions.invoke({ name: 'fails', blocking: true, result: true }), 502, /--> "boom"$/)
  await refused(ow.actions.invoke({ name: 'none', blocking: true }), 404, /does not exist/)
  await refused(ow.actions.invoke({ name: 'fails', params: { big: 'x'.repeat(1024 * 1024) } }), 413, /Request larger than allowed: 1048586 > 1048576 bytes\./)
  const stranger = openwhisk({ apihost: rest, api_key: `${randomUUID()}:${'x'.repeat(64)}` })
  await refused(stranger.actions.list(), 401, /Returned HTTP 401 \(Unauthorized\) --> "The supplied authentication is invalid"/)
}

async function packages () {
  const made = await ow.packages.create({ name: 'pack', package: { parameters: [{ key: 'p', value: 'pack' }], publish: true }, annotations: { note: 'x' } })
  assert.deepEqual([made.version, made.publish, made.binding], ['0.0.1', true, {}])
  await refused(ow.packages.create('pack'), 409, /resource already exists/)
  await ow.actions.create({ name: 'pack/echo', action: echo })
  const got = await ow.packages.get('pack')
  assert.deepEqual([got.actions.map(a => a.name), got.feeds, annotationsOf(got).note], [['echo'], [], 'x'])
  assert.deepEqual(await ow.actions.invoke({ name: 'pack/echo', blocking: true, result: true, params: { q: 1 } }), { p: 'pack', q: 1 })

  const bound = await ow.packages.create({ name: 'bound', package: { binding: { namespace: 'guest', name: 'pack' }, parameters: [{ key: 'p', value: 'bound' }] } })
  assert.deepEqual(bound.binding, { namespace: 'guest', name: 'pack' })
  assert.deepEqual(await ow.actions.invoke({ name: '/guest/bound/echo', blocking: true, result: true }), { p: 'bound' })
  await refused(ow.actions.create({ name: 'bound/new', action: echo }), 400, /Operation not permitted on package binding\./)

  assert.equal((await ow.packages.update({ name: 'pack', package: { publish: false } })).version, '0.0.2')
  assert.deepEqual((await ow.packages.list({ limit: 2 })).map(p => [p.name, p.binding]), [['pack', false], ['bound', { namespace: 'guest', name: 'pack' }]])
  assert.deepEqual(await ow.packages.list({ count: true }), { packages: 2 })
  assert.ok((await ow.packages.list({ namespace: 'whisk.system' })).some(p => p.name === 'utils'))
  assert.deepEqual(await ow.actions.invoke({ name: '/whisk.system/utils/echo', blocking: true, result: true, params: { a: 1 } }), { a: 1 })
  await refused(ow.packages.delete('pack'), 409, /Package not empty \(contains 1 entity\)\. Set force param or delete package contents\./)
  assert.throws(() => ow.packages.invoke('pack'), /not supported/)
  await ow.packages.delete('bound')
  await ow.actions.delete('pack/echo')
  assert.equal((await ow.packages.delete({ packageName: 'pack' })).name, 'pack')
}

async function triggersAndRules () {
  const made = await ow.triggers.create({ name: 'bell', trigger: { parameters: [{ key: 'who', value: 'bell' }] }, annotations: { note: 'x' } })
  assert.deepEqual([made.name, made.limits, annotationsOf(made).note], ['bell', {}, 'x'])
  assert.equal((await ow.triggers.update({ name: 'bell', trigger: { parameters: [{ key: 'who', value: 'ring' }] } })).version, '0.0.2')
  await ow.triggers.invoke({ name: 'bell' }) // nothing happens, with no body

  const rule = await ow.rules.create({ name: 'answer', trigger: 'bell', action: 'text' })
  assert.deepEqual([rule.status, rule.trigger, rule.action], ['active', { name: 'bell', path: 'guest' }, { name: 'text', path: 'guest' }])
  await refused(ow.rules.create({ name: 'astray', trigger: 'bell', action: 'none' }), 400, /action \/guest\/none does not exist/)
  assert.throws(() => ow.rules.create({ name: 'astray', trigger: 'bell' }))

  const fired = await ow.triggers.invoke({ triggerName: 'bell', params: { n: 1 } })
  assert.match(fired.activationId, hex)
  const line = await eventually(async () => JSON.parse((await ow.activations.logs(fired.activationId)).logs[0]))
  assert.deepEqual([line.statusCode, line.success, line.rule, line.action], [0, true, 'guest/answer', 'guest/text'])
  const { result } = await eventually(() => ow.activations.result(line.activationId))
  assert.deepEqual([result.who, result.n, result.a], ['ring', 1, 1])

  assert.equal(await ow.rules.disable({ name: 'answer' }), 'OK')
  assert.equal((await ow.rules.get('answer')).status, 'inactive')
  await ow.rules.enable({ ruleName: 'answer' })
  assert.equal((await ow.rules.get({ name: 'answer' })).status, 'active')
  assert.equal((await ow.rules.update({ name: 'answer', trigger: '/_/bell', action: '/_/python' })).action.name, 'python')
  assert.equal((await ow.triggers.get('bell')).rules['guest/answer'].action.name, 'python')
  assert.deepEqual((await ow.rules.list()).map(r => [r.name, r.status]), [['answer', undefined]])
  assert.deepEqual([await ow.rules.list({ count: true }), await ow.triggers.list({ count: true })], [{ rules: 1 }, { triggers: 1 }])
  assert.deepEqual((await ow.triggers.list({ limit: 1, skip: 0 })).map(t => t.name), ['bell'])
  assert.throws(() => ow.rules.invoke('answer'), /not supported/)
  assert.equal((await ow.rules.delete('answer')).status, 'inactive')
  assert.equal((await ow.triggers.delete('bell')).name, 'bell')
}

async function feeds () {
  await ow.triggers.create({ name: 'clock' })
  await ow.rules.create({ name: 'tick', trigger: 'clock', action: 'text' })
  const feed = { name: '/whisk.system/alarms/interval', trigger: 'clock' }
  const made = await ow.feeds.create({ ...feed, params: { minutes: 1, startDate: Date.now() + 300, trigger_payload: { tick: true } } })
  assert.deepEqual([made.response.success, made.response.result.status], [true, 'success'])
  const read = await ow.feeds.get(feed)
  assert.deepEqual([read.response.result.config.minutes, read.response.result.status.active], [1, true])
  await eventually(async () => assert.ok((await ow.activations.list({ name: 'clock', docs: true })).some(a => a.response.result.tick)))
  await ow.feeds.update({ ...feed, params: { minutes: 2 } })
  assert.equal((await ow.feeds.get(feed)).response.result.config.minutes, 2)
  await refused(ow.feeds.create({ feedName: '/whisk.system/alarms/alarm', trigger: 'clock' }), 502, /alarms trigger feed is missing the cron parameter/)
  await ow.feeds.delete({ feedName: feed.name, trigger: '/guest/clock' })
  await ow.rules.delete('tick')
  await ow.triggers.delete('clock')
}

async function routes () {
  await ow.actions.create({ name: 'page', action: 'function main({ who, __ow_method }) { return { body: { who, method: __ow_method } } }', annotations: { 'web-export': true } })
  const made = await ow.routes.create({ action: 'page', basepath: '/site', relpath: '/page', operation: 'GET', name: 'site', responsetype: 'http' })
  assert.equal(made.apidoc.basePath, '/site')
  await ow.routes.create({ action: '/guest/page', basepath: '/site', relpath: '/page', operation: 'POST', responsetype: 'http' })
  const visit = async (method, path) => {
    const answer = await fetch(made.gwApiUrl + path, { method })
    return [answer.status, await answer.json()]
  }
  assert.deepEqual(await visit('GET', '/page?who=me'), [200, { who: 'me', method: 'get' }])
  assert.deepEqual(await visit('POST', '/page'), [200, { method: 'post' }])
  assert.deepEqual(await visit('GET', '/none'), [404, { status: 404, message: 'Error: Not found.' }])

  const [{ value }] = (await ow.routes.get({ basepath: '/site' })).apis
  assert.deepEqual(Object.keys(value.apidoc.paths['/page']), ['get', 'post'])
  assert.equal((await ow.routes.list({ name: 'site' })).apis.length, 1)
  assert.equal((await ow.routes.list()).apis.length, 1)
  assert.deepEqual(await ow.routes.get({ name: 'none' }), { apis: [] })
  await ow.routes.delete({ basepath: '/site', relpath: '/page', operation: 'POST' })
  assert.deepEqual(await visit('POST', '/page'), [404, { status: 404, message: 'Error: Whoops. Verb not supported.' }])
  await ow.routes.delete({ name: '/site' })
  await refused(ow.routes.delete({ basepath: '/site' }), 502, /API deletion failure: API '\/site' does not exist\./)

  await ow.routes.create({ swagger: JSON.stringify(value.apidoc) })
  assert.deepEqual(await visit('GET', '/page?who=you'), [200, { who: 'you', method: 'get' }])
  const withToken = openwhisk({ apihost: rest, api_key: auth, apigw_token: 'DUMMY TOKEN' })
  assert.equal((await withToken.routes.list()).apis.length, 1)
  await withToken.routes.delete({ name: '/site' })
}

// Options of the client.
async function options () {
  assert.deepEqual(await ow.namespaces.list(), ['guest'])
  const byURL = openwhisk({ api: `${rest}/api/v1/`, api_key: auth, namespace: 'guest' })
  assert.equal((await byURL.actions.get('text')).name, 'text')
  assert.throws(() => openwhisk({ apihost: rest }), /Missing api_key/)

  let retries = 0
  const patient = openwhisk({ apihost: rest, api_key: auth, retry: { retries: 2, minTimeout: 1, onRetry: () => retries++ } })
  await refused(patient.actions.get('none'), 404, /does not exist/)
  assert.equal(retries, 2)
  const plugin = openwhisk({ apihost: rest, auth_handler: { getAuthHeader: async () => 'basic ' + Buffer.from(auth).toString('base64') } })
  assert.deepEqual(await plugin.namespaces.list(), ['guest'])
}

// An action finds its platform and key in its environment.
async function inside () {
  await ow.triggers.create({ name: 'heard' })
  await ow.rules.create({ name: 'hears', trigger: 'heard', action: 'text' })
  const action = `async function main ({ n }) {
    const ow = require('openwhisk')()
    const [echoed, fired, list] = await Promise.all([
      ow.actions.invoke({ name: 'text', blocking: true, result: true, params: { n } }),
      ow.triggers.invoke({ name: 'heard', params: { n } }),
      ow.namespaces.list()
    ])
    const { annotations } = await ow.actions.get({ name: process.env.__OW_ACTION_NAME })
    return { echoed, fired: fired.activationId, list, keyed: annotations.some(a => a.key === 'provide-api-key' && a.value) }
  }`
  await ow.actions.create({ name: 'caller', action, annotations: { 'provide-api-key': true } })
  const result = await ow.actions.invoke({ name: 'caller', blocking: true, result: true, params: { n: 7 } })
  assert.deepEqual([result.echoed, result.list, result.keyed], [{ a: 1, n: 7 }, ['guest'], true])
  assert.equal((await ow.activations.get(result.fired)).name, 'heard')

  await ow.actions.create({ name: 'keyless', action: 'function main() { require("openwhisk")() }' })
  await refused(ow.actions.invoke({ name: 'keyless', blocking: true, result: true }), 502, /Missing api_key/)
  await ow.rules.delete('hears')
  await ow.triggers.delete('heard')
}

async function main () {
  for (const part of [actions, activations, failures, packages, triggersAndRules, feeds, routes, options, inside]) {
    try {
      await part()
    } catch (error) {
      error.message = `${part.name}: ${error.message}`
      throw error
    }
  }
}

main().catch(error => { console.error(error); process.exit(1) })
