// A small service on Express. SIGTERM: no new connections, running requests are finished, then the end.
'use strict';

const express = require('express');

const greeting = 'Hello from node-hello, version 1\n';
const port = Number(process.env.PORT ?? 8080);

const app = express();
app.disable('x-powered-by');
app.get('/', (request, response) => response.type('text/plain').send(greeting));
app.get('/healthz', (request, response) => response.type('text/plain').send('ok\n'));

const server = app.listen(port, '0.0.0.0', () => console.log(`listening on port ${port}`));

function stop() {
  server.close(() => {
    console.log('stopped');
    process.exit(0);
  });
  server.closeIdleConnections();
}
process.on('SIGTERM', stop);
process.on('SIGINT', stop);
