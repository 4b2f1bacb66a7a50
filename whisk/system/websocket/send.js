// Sends one message to a WebSocket server.
const crypto = require('crypto');
const GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11'; // of RFC 6455

function frame (opcode, data) {
  const mask = crypto.randomBytes(4);
  const head = Buffer.alloc(10);
  head[0] = 0x80 | opcode;
  let size = 2;
  if (data.length < 126) {
    head[1] = 0x80 | data.length;
  } else if (data.length < 65536) {
    head[1] = 0x80 | 126;
    size = head.writeUInt16BE(data.length, 2);
  } else {
    head[1] = 0x80 | 127;
    head.writeBigUInt64BE(BigInt(data.length), 2);
    size = 10;
  }
  return Buffer.concat([head.subarray(0, size), mask, data.map((byte, i) => byte ^ mask[i % 4])]);
}

function main ({ uri, payload }) {
  if (!uri) return { error: 'You must specify a uri parameter.' };
  if (payload === undefined) return { error: 'You must specify a payload parameter.' };
  const text = typeof payload === 'string' ? payload : JSON.stringify(payload);
  const key = crypto.randomBytes(16).toString('base64');
  const url = new URL(uri);
  const secure = url.protocol === 'wss:' || url.protocol === 'https:';
  url.protocol = secure ? 'https:' : 'http:';
  return new Promise((resolve) => {
    const request = require(secure ? 'https' : 'http').request({
      hostname: url.hostname,
      port: url.port || (secure ? 443 : 80),
      path: url.pathname + url.search,
      headers: { Connection: 'Upgrade', Upgrade: 'websocket', 'Sec-WebSocket-Version': 13, 'Sec-WebSocket-Key': key },
    });
    request.on('error', (e) => resolve({ error: `The message was not sent: ${e.message}` }));
    request.on('response', (response) => {
      response.destroy();
      resolve({ error: `The server answered ${response.statusCode} and no WebSocket.` });
    });
    request.on('upgrade', (response, socket) => {
      if (response.headers['sec-websocket-accept'] !== crypto.createHash('sha1').update(key + GUID).digest('base64')) {
        socket.destroy();
        return resolve({ error: 'The server does not speak WebSocket.' });
      }
      socket.on('error', (e) => resolve({ error: `The message was not sent: ${e.message}` }));
      socket.write(frame(1, Buffer.from(text)));
      socket.end(frame(8, Buffer.from([0x03, 0xe8])), () => resolve({ payload })); // 1000: done
    });
    request.end();
  });
}
