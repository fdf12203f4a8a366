// A publisher that reloads and a watcher, while the network between them and the service fails.
// Usage: node faults.mjs <http> <websocket>. Says on each line how far it is; at the end what was shown and kept.
import 'fake-indexeddb/auto';
import { WebSocket } from 'ws';
import { createLive, createSessionClient } from '../../../client/typescript/dist/index.js';

const COUNT = 20;
const RELOAD_AFTER = 10;
/** Here everything has to have arrived before it goes on, so that the next fault is one of its own. */
const PAUSES = [6, 15];
const [http, websocket] = process.argv.slice(2);
const TIMING = { firstWait: 200, longestWait: 2_000, silence: 1_000, probeTimeout: 5_000, ackTimeout: 5_000 };

const say = (told) => process.stdout.write(`${JSON.stringify(told)}\n`);
const sleep = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

async function device(name) {
  const session = createSessionClient({ baseUrl: http });
  await session.create({ kind: 'chat' });
  const connect = () =>
    createLive({ url: websocket, ticket: () => session.ticket(), name, timing: TIMING, environment: { WebSocket } });
  return { session, connect };
}

const publisher = await device('publisher');
const watcher = await device('watcher');
const topic = `app:${publisher.session.id}`;

const seen = [];
const recovered = [];
const watching = watcher.connect();
await new Promise((resolve) => {
  const onSubscribed = (subscribed) => {
    recovered.push(subscribed.recovered);
    resolve();
  };
  watching.subscribe(topic, ({ data }) => seen.push(data), { onSubscribed });
});

let live = publisher.connect();
const acked = [];
for (let number = 1; number <= COUNT; number++) {
  // After a reload nobody waits for what was under way; it is in the outbox.
  live.publish(topic, number).then(({ offset }) => acked.push([number, offset]), () => {});
  if (number === RELOAD_AFTER) {
    await sleep(50);
    live.close();
    live = publisher.connect();
  }
  say({ sent: number });
  while (PAUSES.includes(number) && seen.length < number) await sleep(20);
  await sleep(100);
}
while (seen.length < COUNT || live.outbox.getSnapshot().size > 0) await sleep(50);
await sleep(500);

const { reconnects } = watching.metrics.getSnapshot();
say({ seen, recovered, acked, reconnects, kept: (await live.outbox.list()).length });
process.exit(0);
