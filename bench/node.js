// A bare Node HTTP server: what Node can do on this machine with no platform around it.
const http = require('node:http')
const body = JSON.stringify({ ready: true })
http.createServer((request, response) => {
  request.resume()
  request.on('end', () => {
    response.writeHead(200, { 'Content-Type': 'application/json', 'Content-Length': body.length })
    response.end(body)
  })
}).listen(Number(process.argv[2]), '127.0.0.1')
