// The built client against a real WebSocket server in this process that is killed, comes back, or goes silent.
// Prints milliseconds: from the server's return to the message that was missed, and from silence to a new socket.
import { createServer } from 'node:http';
import { WebSocket, WebSocketServer } from 'ws';
import { createLive } from '../../client/typescript/dist/index.js';

const KILLS = Number(process.argv[2] ?? 100);
const SILENCES = 20;
const DOWN = 500;
const TOPIC = 'app:bench';

const sleep = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

/** One topic, with its history; enough of the protocol for a client that resumes. */
class Server {
  epoch = 'e';
  history = [];
  connected = 0;

  async listen(port = 0) {
    this.http = createServer();
    const handleProtocols = () => 'tessera.v1';
    this.sockets = new WebSocketServer({ server: this.http, handleProtocols });
    this.sockets.on('connection', (socket) => {
      this.connected++;
      socket.on('message', (text) => this.take(socket, JSON.parse(text)));
    });
    await new Promise((resolve) => this.http.listen(port, '127.0.0.1', resolve));
    this.port = this.http.address().port;
  }

  take(socket, frame) {
    if (frame.type === 'ping') socket.send('{"type":"pong"}');
    if (frame.type !== 'subscribe') return;
    const { epoch, history } = this;
    const messages = frame.since ? history.slice(frame.since.offset) : [];
    const { id, topic } = frame;
    const answer = { type: 'subscribed', id, topic, epoch, offset: history.length, recovered: !!frame.since, messages };
    socket.send(JSON.stringify(answer));
  }

  publish(data) {
    const offset = this.history.length + 1;
    const publishedAt = new Date().toISOString();
    this.history.push({ topic: TOPIC, epoch: this.epoch, offset, messageId: `m${offset}`, data, publishedAt });
  }

  async kill() {
    for (const socket of this.sockets.clients) socket.terminate();
    await new Promise((resolve) => this.http.close(resolve));
  }

  /** Take nothing in any more, and say nothing, to those who are connected. */
  silence() {
    for (const socket of this.sockets.clients) {
      socket.pause();
      socket.send = () => {};
    }
  }
}

function connect(server, onMessage) {
  const url = `ws://127.0.0.1:${server.port}`;
  const live = createLive({ url, ticket: async () => 'bench', environment: { WebSocket } });
  return new Promise((resolve) => {
    live.subscribe(TOPIC, ({ data }) => onMessage(data), { onSubscribed: () => resolve(live) });
  });
}

async function kills() {
  const server = new Server();
  await server.listen();
  const times = [];
  const shown = [];
  const clients = Array.from({ length: KILLS }, (_, index) =>
    connect(server, (data) => {
      shown.push(index);
      times.push(performance.now() - data.back);
    }),
  );
  const lives = await Promise.all(clients);
  await server.kill();
  await sleep(DOWN);
  server.publish({ back: performance.now() });
  await server.listen(server.port);
  while (times.length < KILLS) await sleep(20);
  for (const live of lives) live.close();
  await server.kill();
  return { times, lost: KILLS - new Set(shown).size, repeated: shown.length - new Set(shown).size };
}

async function silences() {
  const server = new Server();
  await server.listen();
  const times = [];
  const lives = [];
  for (let each = 0; each < SILENCES; each++) {
    lives.push(await connect(server, () => {}));
    await sleep(100);
  }
  const began = performance.now();
  const before = server.connected;
  server.silence();
  while (server.connected < before + SILENCES) {
    await sleep(20);
    while (times.length < server.connected - before) times.push(performance.now() - began);
  }
  for (const live of lives) live.close();
  await server.kill();
  return { times };
}

const [killed, silent] = await Promise.all([kills(), silences()]);
console.log(JSON.stringify({ killed, silent }));
process.exit(0);
