'use strict';
// The Node side of a process instance. It reads frames from fd 3 by the event
// loop and answers on fd 4 with one synchronous write; wire.go describes them.
// What an action could replace (JSON, Buffer methods, fs) is captured first.
const fs = require('fs');
const net = require('net');
const { parse, stringify } = JSON;
const { writeSync } = fs;
const realEnv = process.env;
const home = realEnv.HOME;
const exit = process.exit.bind(process);
const fromString = Buffer.from;
const { utf8Slice, utf8Write, readUInt32LE, writeUInt32LE } = Buffer.prototype;

const HEADER = 9;
const READY = 1, INIT = 2, RUN = 3, OK = 4, FAILED = 5;
// The action's environment is an object of ours, which child processes get as
// well: to set a variable of the process at every call would cost more than all
// the rest of a call, and leak, as the C library keeps every value.
const env = { ...realEnv };
process.env = new Proxy(env, {
  set (target, name, value) {
    if (name === 'TZ') realEnv.TZ = value; // V8 reads it there
    if (typeof name !== 'symbol') target[name] = String(value);
    return true;
  },
});
const RUN_ENV = ['__OW_NAMESPACE', '__OW_ACTION_NAME', '__OW_ACTION_VERSION', '__OW_ACTIVATION_ID',
  '__OW_TRANSACTION_ID', '__OW_DEADLINE', '__OW_API_KEY'];

const out = Buffer.allocUnsafeSlow(65536);
const current = []; // values of RUN_ENV as last set
let handler; // the action's function

function writeAll(buf, end) {
  for (let at = 0; at < end;) {
    try {
      at += writeSync(4, buf, at, end - at);
    } catch (e) {
      if (e.code !== 'EAGAIN') exit(1);
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1);
    }
  }
}

function send(type, id, text) {
  let buf = out, size;
  if (text.length * 3 + HEADER <= out.length) {
    size = utf8Write.call(out, text, HEADER);
  } else {
    const body = fromString(text);
    size = body.length;
    buf = Buffer.allocUnsafeSlow(HEADER + size);
    body.copy(buf, HEADER);
  }
  writeUInt32LE.call(buf, size, 0);
  buf[4] = type;
  writeUInt32LE.call(buf, id, 5);
  writeAll(buf, HEADER + size);
}

const fail = (id, text) => send(FAILED, id, stringify({ error: text }));

// plainError makes of an Error what OpenWhisk's runtime (serialize-error) does.
function plainError(value, seen) {
  if (typeof value === 'function') return `[Function: ${value.name || 'anonymous'}]`;
  if (typeof value !== 'object' || value === null) return value;
  if (Buffer.isBuffer(value)) return '[object Buffer]';
  const plain = Array.isArray(value) ? [] : {};
  seen = seen.concat([value]);
  for (const key of Object.keys(value)) {
    const v = value[key];
    if (typeof v === 'function') continue;
    plain[key] = seen.includes(v) ? '[Circular]' : plainError(v, seen);
  }
  for (const key of ['name', 'message', 'stack', 'code']) {
    if (typeof value[key] === 'string') plain[key] = value[key];
  }
  return plain;
}

function answer(id, result) {
  if (result === undefined) result = {};
  if (typeof result !== 'object') {
    console.error(`Result must be of type object but has type "${typeof result}":`, result);
    return fail(id, 'The action did not return a dictionary.');
  }
  let text;
  try {
    text = stringify(result);
  } catch (e) {
    return threw(id, e);
  }
  if (text === undefined) return fail(id, 'The action did not return a dictionary.');
  send(OK, id, text);
}

function threw(id, e) {
  console.error(e);
  let text;
  try {
    text = String(e);
  } catch (_) {
    text = Object.prototype.toString.call(e);
  }
  fail(id, 'An error has occurred: ' + text);
}

function rejected(id, e) {
  if (!e) return send(OK, id, '{"error":{}}');
  let text;
  try {
    text = stringify({ error: plainError(e, []) });
  } catch (inner) {
    return threw(id, inner);
  }
  send(OK, id, text);
}

function run(id, said, args) {
  const values = said.split('\0');
  for (let i = 0; i < RUN_ENV.length; i++) {
    if (values[i] === current[i]) continue;
    current[i] = values[i];
    if (values[i] === '' && i === 6) delete env[RUN_ENV[i]];
    else env[RUN_ENV[i]] = values[i];
  }
  let result;
  try {
    result = handler(parse(args));
  } catch (e) {
    return threw(id, e);
  }
  if (result === null || typeof result !== 'object' || typeof result.then !== 'function') {
    return answer(id, result);
  }
  Promise.resolve(result).then((value) => answer(id, value), (e) => rejected(id, e));
}

// fromText evaluates the source in a function, then takes the entry point: the
// name itself, else module.exports or exports.
function fromText(code, main) {
  const file = home + '/index.js';
  const body = `${code}\ntry { return ${main} } catch (e) { if (e.name === 'ReferenceError') ` +
    `{ return module.exports.${main} || exports.${main} } else { throw e } }`;
  const vm = require('vm');
  const options = { filename: file };
  const loader = vm.constants && vm.constants.USE_MAIN_CONTEXT_DEFAULT_LOADER;
  const warn = process.emitWarning;
  if (loader && code.includes('import(')) {
    options.importModuleDynamically = loader;
    process.emitWarning = () => {}; // the loader is marked experimental
  }
  let f;
  try {
    f = vm.compileFunction(body, ['require', 'module', 'exports', '__filename', '__dirname'], options);
  } finally {
    process.emitWarning = warn;
  }
  const module = { exports: {}, filename: file };
  return f(require('module').createRequire(file), module, module.exports, file, home);
}

// fromTree loads an unpacked archive: "fn" is taken from the tree itself,
// "file.fn" from that file. ES modules are imported.
function fromTree(dir, main) {
  process.chdir(dir);
  const dot = main.indexOf('.');
  const what = dot > 0 ? require('path').join(dir, main.slice(0, dot)) : dir;
  if (dot <= 0 && !fs.existsSync('package.json') && !fs.existsSync('index.js')) {
    throw 'Zipped actions must contain either package.json or index.js at the root.';
  }
  const names = main.slice(dot + 1).split('.');
  const pick = (exported) => names.reduce((o, name) => o[name], exported);
  const load = require('module').createRequire(dir + '/index.js');
  try {
    return pick(load(what));
  } catch (e) {
    if (e.code !== 'ERR_REQUIRE_ESM') throw e;
    return import(require('url').pathToFileURL(load.resolve(what)).href)
      .then((m) => pick(names[0] in m || !m.default ? m : m.default));
  }
}

// reason is what an Init failed with: the stack of an Error from its name on and
// down to where our part of it begins.
function reason(e) {
  if (!e || !e.stack) return String(e);
  const stack = String(e.stack);
  const lines = stack.slice(Math.max(0, stack.indexOf(e.name + ': '))).split('\n');
  const ours = lines.findIndex((line) => line.includes(__filename) || line.includes('node:internal/vm'));
  return (ours < 0 ? lines : lines.slice(0, ours)).join('\n');
}

async function init(id, said, code) {
  try {
    const what = parse(said);
    Object.assign(realEnv, what.env); // native code reads it there
    Object.assign(env, what.env);
    const main = what.main || 'main';
    const found = what.dir ? await fromTree(what.dir, main) : fromText(code, main);
    if (typeof found !== 'function') throw `Action entrypoint '${main}' is not a function.`;
    handler = found;
  } catch (e) {
    console.error('Error during initialization:', (e && e.stack) || e);
    return fail(id, `Initialization has failed due to: ${reason(e)}`);
  }
  send(OK, id, '{"OK":true}');
}

// take carries out the frames that are whole in buf[0:n] and answers how many
// bytes they are.
function take(buf, n) {
  let at = 0;
  while (n - at >= HEADER) {
    const size = readUInt32LE.call(buf, at);
    if (n - at < HEADER + size) break;
    const id = readUInt32LE.call(buf, at + 5);
    const body = at + HEADER + 4;
    const args = body + readUInt32LE.call(buf, at + HEADER);
    const said = utf8Slice.call(buf, body, args);
    const rest = utf8Slice.call(buf, args, at + HEADER + size);
    const type = buf[at + 4];
    at += HEADER + size;
    if (type === RUN) run(id, said, rest);
    else if (type === INIT) init(id, said, rest);
  }
  return at;
}

let pending = null; // the beginning of a frame that is not whole yet
let pendingSize = 0;

function onChunk(n, chunk) {
  if (pending === null) {
    const used = take(chunk, n);
    if (used === n) return true;
    const left = n - used;
    const need = left >= HEADER ? HEADER + readUInt32LE.call(chunk, used) : 65536;
    pending = Buffer.allocUnsafeSlow(Math.max(need, left + 65536));
    chunk.copy(pending, 0, used, n);
    pendingSize = left;
    return true;
  }
  if (pendingSize + n > pending.length) {
    const need = pendingSize >= HEADER ? HEADER + readUInt32LE.call(pending, 0) : 0;
    const larger = Buffer.allocUnsafeSlow(Math.max(need, pendingSize + n) + 65536);
    pending.copy(larger, 0, 0, pendingSize);
    pending = larger;
  }
  chunk.copy(pending, pendingSize, 0, n);
  pendingSize += n;
  if (pendingSize < HEADER || pendingSize < HEADER + readUInt32LE.call(pending, 0)) return true;
  const used = take(pending, pendingSize);
  if (used === pendingSize) {
    pending = null;
  } else {
    pending.copy(pending, 0, used, pendingSize);
    pendingSize -= used;
  }
  return true;
}

// Built in advance, in the time that nobody waits for: the first use of each
// costs a millisecond.
require('vm');
require('module');
process.chdir(home);
// Node keeps in memory what a full pipe does not take and writes it later: after
// the answer, or never if the process ends.
for (const stream of [process.stdout, process.stderr]) {
  if (stream._handle && stream._handle.setBlocking) stream._handle.setBlocking(true);
}
const wire = new net.Socket({
  fd: 3, readable: true, writable: false,
  onread: { buffer: Buffer.allocUnsafeSlow(65536), callback: onChunk },
});
wire.on('end', () => exit(0));
wire.on('error', () => exit(1));
wire.read(0);
send(READY, 0, '');
