// Compositions of every combinator of the npm package openwhisk-composer:
// composer.js REST AUTH REDIS
//
// The expected results are those of its docs/COMBINATORS.md.
const assert = require('node:assert/strict')
const { execFileSync } = require('node:child_process')
const { mkdtempSync, rmSync, writeFileSync } = require('node:fs')
const { tmpdir } = require('node:os')
const { join } = require('node:path')
const composer = require('openwhisk-composer')
const client = require('openwhisk-composer/client')

const [rest, auth, redis] = process.argv.slice(2)

const actions = {
  echo: 'function main(p) { return p }',
  increment: 'function main({ n }) { return { n: n + 1 } }',
  even: 'function main({ n }) { return { value: n % 2 === 0 } }',
  half: 'function main({ n }) { return { n: n / 2 } }',
  fail: 'function main(p) { return { error: "failed" } }'
}

const inc = 'increment'
const loop = (n, composition) => composer.let({ n }, composer.while(() => n-- > 0, composer.mask(composition))) // eslint-disable-line

// A case: name, composition, parameters, and its result or error.
const cases = [
  ['empty', composer.empty(), { a: 1 }, { a: 1 }],
  ['action', composer.action('increment'), { n: 1 }, { n: 2 }],
  ['task', composer.task('increment'), { n: 1 }, { n: 2 }],
  ['function', p => ({ sum: p.a + p.b }), { a: 1, b: 2 }, { sum: 3 }],
  ['function-promise', p => Promise.resolve({ a: p.a }), { a: 1, b: 2 }, { a: 1 }],
  ['function-scalar', p => p.n, { n: 42 }, { value: 42 }],
  ['function-nothing', p => { p.n++ }, { n: 1 }, { n: 2 }],
  ['function-throws', () => { throw new Error('no') }, {}, null, /Function combinator threw an exception at AST node root/],
  ['literal', composer.literal({ a: [1, 2] }), {}, { a: [1, 2] }],
  ['sequence', composer.sequence(inc, inc, p => ({ n: p.n * 10 })), { n: 1 }, { n: 30 }],
  ['sequence-fails', composer.sequence(inc, 'fail', inc), { n: 1 }, null, 'failed'],
  ['sequence-of-none', composer.seq(), { n: 1 }, { n: 1 }],
  ['missing-action', composer.action('no-such-action'), {}, null, /Failed to resolve action with name 'guest\/no-such-action' during composition\./],
  ['if-true', composer.if('even', 'half', inc), { n: 4 }, { n: 2 }],
  ['if-false', composer.if('even', 'half', inc), { n: 3 }, { n: 4 }],
  ['if-no-alternate', composer.if('even', 'half'), { n: 3 }, { n: 3 }],
  ['if-nosave', composer.if_nosave(p => { p.value = p.n % 2 === 0 }, p => { p.n /= 2 }), { n: 4 }, { n: 2, value: true }],
  ['while', composer.while('even', 'half'), { n: 28 }, { n: 7 }],
  ['while-nosave', composer.while_nosave(p => { p.value = p.n % 2 === 0 }, p => { p.n /= 2 }), { n: 28 }, { n: 7, value: false }],
  ['while-fails', composer.while(() => true, 'fail'), {}, null, 'failed'],
  ['dowhile', composer.dowhile(inc, p => p.n % 3 !== 0), { n: 3 }, { n: 6 }],
  ['dowhile-nosave', composer.dowhile_nosave(inc, p => { p.value = p.n < 3 }), { n: 0 }, { n: 3, value: false }],
  ['repeat', composer.repeat(3, inc), { n: 1 }, { n: 4 }],
  ['try-caught', composer.try('fail', p => ({ message: p.error })), {}, { message: 'failed' }],
  ['try-passed', composer.try(inc, p => ({ message: p.error })), { n: 1 }, { n: 2 }],
  ['finally-failed', composer.finally('fail', p => ({ params: p })), {}, { params: { error: 'failed' } }],
  ['finally-passed', composer.finally(inc, p => ({ params: p })), { n: 1 }, { params: { n: 2 } }],
  ['retry-succeeds', composer.let({ x: 2 }, composer.retry(2, () => x-- > 0 ? { error: 'again' } : 42)), {}, { value: 42 }], // eslint-disable-line
  ['retry-fails', composer.retry(1, 'fail'), {}, null, 'failed'],
  ['let', composer.let({ i: 3 }, composer.while(() => i-- > 0, inc)), { n: 0 }, { n: 3 }], // eslint-disable-line
  ['let-to-action', composer.let({ n: 42 }, () => ({ n }), inc, p => { n = p.n }, () => n), {}, { value: 43 }], // eslint-disable-line
  ['let-hides', composer.let({ a: 1 }, composer.let({ a: 2 }, () => a), ({ value }) => [value, a]), {}, { value: [2, 1] }], // eslint-disable-line
  ['mask', composer.let({ n: 0 }, loop(3, loop(4, () => ++n))), {}, { value: 12 }], // eslint-disable-line
  ['retain', composer.retain(inc), { n: 1 }, { params: { n: 1 }, result: { n: 2 } }],
  ['retain-fails', composer.retain('fail'), { n: 1 }, null, 'failed'],
  ['retain-catch', composer.retain_catch('fail'), { n: 1 }, { params: { n: 1 }, result: { error: 'failed' } }],
  ['merge', composer.merge('even'), { n: 4 }, { n: 4, value: true }],
  ['dynamic', composer.dynamic(), { type: 'action', name: 'increment', params: { n: 41 } }, { n: 42 }],
  ['dynamic-misused', composer.dynamic(), { name: 'increment' }, null, /Incorrect use of the dynamic combinator/],
  ['nested-composition', composer.seq('/_/repeat', inc), { n: 1 }, { n: 5 }]
]

async function main () {
  const wsk = client({ apihost: rest, api_key: auth })
  await Promise.all(Object.entries(actions).map(([name, action]) => wsk.actions.update({ name, action })))
  const left = [...cases]
  const work = async () => { while (left.length) await check(wsk, left.shift()) }
  await Promise.all([work(), work(), work(), work()])
  await records(wsk)
  await asynchronous(wsk)
  await actionsInside(wsk)
  await parallel(wsk)
  await commands(wsk)
}

// check deploys and calls the composition of a case.
async function check (wsk, [name, composition, params, result, error]) {
  await wsk.compositions.deploy({ name, ...composer.sequence(composition).compile() }, true)
  const call = wsk.actions.invoke({ name, params, blocking: true })
  if (!error) {
    const record = await call
    assert.deepEqual(record.response.result, result, name)
    composed(record, name)
    return
  }
  await assert.rejects(call, e => {
    const { status, result } = e.error.response
    assert.equal(status, 'application error', name)
    typeof error === 'string' ? assert.equal(result.error, error, name) : assert.match(result.error, error, name)
    return true
  }, name)
}

// composed checks that a record is one of a composition.
function composed (record, name) {
  const annotations = Object.fromEntries(record.annotations.map(({ key, value }) => [key, value]))
  assert.deepEqual([annotations.conductor, annotations.kind, annotations.topmost], [true, 'sequence', true], name)
}

// The record of a composition names those of what it called, in order.
async function records (wsk) {
  const { activationId } = await wsk.actions.invoke({ name: 'repeat', params: { n: 0 }, blocking: true })
  const { logs } = await wsk.activations.logs(activationId)
  const called = await Promise.all(logs.map(id => wsk.activations.get(id)))
  assert.deepEqual(called.map(({ name, cause }) => [name, cause]),
    ['repeat', inc, 'repeat', inc, 'repeat', inc, 'repeat'].map(name => [name, activationId]))
}

// async answers the id of a call of itself, made with the npm package openwhisk.
async function asynchronous (wsk) {
  const composition = composer.let({ n: 1 }, composer.async(() => ({ n: ++n })), p => ({ ...p, n })) // eslint-disable-line
  await wsk.compositions.deploy({ name: 'async', ...composition.compile() }, true)
  const { response: { result } } = await wsk.actions.invoke({ name: 'async', blocking: true })
  assert.deepEqual([result.method, result.n], ['async', 1])
  for (let tries = 0; ; tries++) {
    const record = await wsk.activations.get(result.activationId)
    if (record.end) return assert.deepEqual(record.response.result, { n: 2 })
    assert.ok(tries < 600, 'the asynchronous part did not end')
    await new Promise(resolve => setTimeout(resolve, 50))
  }
}

// parallel and map call branches of themselves, which meet in Redis.
async function parallel (wsk) {
  const $composer = { redis: { uri: redis } }
  const call = async (name, composition, params) => {
    await wsk.compositions.deploy({ name, ...composer.sequence(composition).compile() }, true)
    return (await wsk.actions.invoke({ name, params: { ...params, $composer }, blocking: true })).response.result
  }
  assert.deepEqual(await call('parallel', composer.parallel(inc, 'fail', composer.seq(inc, inc)), { n: 1 }),
    { value: [{ n: 2 }, { error: 'failed' }, { n: 3 }] })
  assert.deepEqual(await call('par-of-none', composer.par(), { n: 1 }), { value: [] })
  assert.deepEqual(await call('map', composer.map(inc), { value: [{ n: 1 }, { n: 5 }] }), { value: [{ n: 2 }, { n: 6 }] })
  await assert.rejects(wsk.actions.invoke({ name: 'map', params: { value: [1] }, blocking: true, result: true }),
    /Parallel combinator requires a properly configured redis instance/)
}

// A composition brings the actions that it defines.
async function actionsInside (wsk) {
  const composition = composer.seq(composer.action('inside', { action: function main ({ n }) { return { n: n * 2 } } }), inc)
  await wsk.compositions.deploy({ name: 'brings', ...composition.compile() }, true)
  const { response } = await wsk.actions.invoke({ name: 'brings', params: { n: 3 }, blocking: true })
  assert.deepEqual(response.result, { n: 7 })
}

// The commands compose and deploy do the same as the library.
async function commands (wsk) {
  const dir = mkdtempSync(join(tmpdir(), 'composer-'))
  try {
    const source = join(dir, 'demo.js')
    const compiled = join(dir, 'demo.json')
    writeFileSync(source, `const composer = require('openwhisk-composer')
module.exports = composer.if('even', 'half', composer.action('three', { action: function main ({ n }) { return { n: 3 * n + 1 } } }))`)
    const run = (command, ...args) => execFileSync(process.execPath, [join(__dirname, 'node_modules/.bin', command), ...args],
      { encoding: 'utf8', env: { ...process.env, NODE_PATH: join(__dirname, 'node_modules'), WSK_CONFIG_FILE: join(dir, 'none') } })
    writeFileSync(compiled, run('compose', source))
    const deploy = () => run('deploy', 'demo', compiled, '-w', '--apihost', rest, '--auth', auth, '--kind', 'nodejs:20', '--annotation', 'note=x')
    assert.match(deploy(), /ok: created/)
    deploy()
  } finally {
    rmSync(dir, { recursive: true })
  }
  const { annotations } = await wsk.actions.get('demo')
  assert.ok(annotations.some(({ key, value }) => key === 'note' && value === 'x'))
  const results = await Promise.all([3, 10].map(n => wsk.actions.invoke({ name: 'demo', params: { n }, blocking: true, result: true })))
  assert.deepEqual(results, [{ n: 10 }, { n: 5 }])
}

main().catch(error => { console.error(error); process.exit(1) })
