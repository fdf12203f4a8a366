// What a session's own topic tells of its changes, until it ends. Usage: node changes.mjs <http> <websocket>
import { WebSocket } from 'ws';
import { createLive, createSessionClient } from '../../../client/typescript/dist/index.js';

const [baseUrl, url] = process.argv.slice(2);
const sleep = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

const session = createSessionClient({ baseUrl });
const { id, version } = await session.create({ kind: 'form' });
const live = createLive({ url, ticket: () => session.ticket(), environment: { WebSocket } });
const changes = [];
await new Promise((resolve) => {
  live.subscribe(`session:${id}`, ({ data }) => changes.push(data), { onSubscribed: resolve });
});

await session.patch({ currentStep: 2, completedSteps: [1] });
while (changes.length === 0) await sleep(50);

await session.delete();
while (live.status.getSnapshot().state !== 'ended') await sleep(50);

const { problem } = live.status.getSnapshot();
process.stdout.write(JSON.stringify({ version, change: changes[0], ended: problem?.slug }));
process.exit(0);
