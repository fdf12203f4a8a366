import { expect, test } from 'vitest';
import { Problem } from '../src/index.ts';
import type { Json } from '../src/json.ts';
import type { Live } from '../src/live/types.ts';
import { ownTime, pass } from './support/clock.ts';
import { page, shown } from './support/lives.ts';
import { FakeServer } from './support/server.ts';

ownTime();

const TOPIC = 'app:room';

const said = (server: FakeServer, topic = TOPIC) =>
  server.published.filter((message) => message.topic === topic).map(({ data }) => data);

/** Publish without waiting; what becomes of it is collected. */
function publishing(live: Live, ...data: Json[]): unknown[] {
  const outcomes: unknown[] = [];
  for (const each of data) {
    live.publish(TOPIC, each).then(
      ({ offset }) => outcomes.push(offset),
      (problem) => outcomes.push(problem.slug ?? problem.message),
    );
  }
  return outcomes;
}

test('publish resolves with the place of the message; no subscription is needed', async () => {
  const server = new FakeServer();
  const live = page(server);
  const published = live.publish(TOPIC, { hello: 1 });
  await pass(300);
  expect(await published).toEqual({ epoch: server.topic(TOPIC).epoch, offset: 1 });
  expect(live.outbox.getSnapshot()).toMatchObject({ size: 0, syncing: false, lastSync: expect.any(Number) });
});

test('who is subscribed gets their own message', async () => {
  const server = new FakeServer();
  const live = page(server);
  const seen = shown(live, TOPIC);
  publishing(live, 'mine');
  await pass(200);
  expect(seen).toEqual(['mine']);
});

test('the messages of a topic are published in their order, whatever the network does to frames', async () => {
  const server = new FakeServer();
  let frame = 0;
  server.latency = () => (frame++ % 4) * 30;
  const live = page(server);
  const outcomes = publishing(live, ...Array.from({ length: 25 }, (_, index) => index));
  await pass(8_000);
  expect(said(server)).toEqual(Array.from({ length: 25 }, (_, index) => index));
  expect(outcomes).toEqual(Array.from({ length: 25 }, (_, index) => index + 1));
});

test('what is published without a connection goes when there is one', async () => {
  const server = new FakeServer();
  server.down = true;
  const live = page(server);
  const outcomes = publishing(live, 'a', 'b');
  await pass(5_000);
  expect([outcomes, live.outbox.getSnapshot().size]).toEqual([[], 2]);
  server.down = false;
  await pass(5_000);
  expect([said(server), outcomes]).toEqual([
    ['a', 'b'],
    [1, 2],
  ]);
});

test('an ack that is lost: the message is sent again and published once', async () => {
  const server = new FakeServer();
  let lost = 0;
  server.loses = (frame) => frame.type === 'ack' && lost++ < 2;
  const outcomes = publishing(page(server), 'once', 'next');
  await pass(25_000, 100);
  expect([said(server), outcomes]).toEqual([
    ['once', 'next'],
    [1, 2],
  ]);
  expect(server.received.filter((frame) => frame.type === 'publish')).toHaveLength(4);
});

test('a connection that breaks between send and ack: sent again on the next one, published once', async () => {
  const server = new FakeServer();
  const live = page(server);
  live.connect();
  await pass(100);
  server.loses = (frame) => frame.type === 'ack';
  const outcomes = publishing(live, 'a', 'b');
  await pass(50);
  server.cut();
  server.loses = () => false;
  await pass(5_000);
  expect([said(server), outcomes]).toEqual([
    ['a', 'b'],
    [1, 2],
  ]);
});

test('the same messageId is one message, and one promise while it is on its way', async () => {
  const server = new FakeServer();
  const live = page(server);
  const first = live.publish(TOPIC, 1, { messageId: 'm' });
  expect(live.publish(TOPIC, 1, { messageId: 'm' })).toBe(first);
  await pass(100);
  const again = live.publish(TOPIC, 2, { messageId: 'm' });
  await pass(100);
  expect([await first, await again, said(server)]).toEqual([await first, await first, [1]]);
});

test('urgent messages overtake what waits, and the others keep their order', async () => {
  const server = new FakeServer();
  server.down = true;
  const live = page(server);
  for (const [data, priority] of [
    ['a', 0],
    ['b', 5],
    ['c', 0],
    ['d', 10],
    ['e', 5],
  ] as const) {
    live.publish(TOPIC, data, { priority });
  }
  await pass(500);
  server.down = false;
  await pass(5_000);
  expect(said(server)).toEqual(['d', 'b', 'e', 'a', 'c']);
  expect(server.received.find((frame) => frame.type === 'publish')).toMatchObject({ priority: 10 });
});

test('what follows closely is gathered for 100 ms; ten at a time are on their way', async () => {
  const server = new FakeServer();
  server.latency = () => 500;
  const live = page(server);
  live.connect();
  await pass(2_000);
  const sent = () => server.received.filter((frame) => frame.type === 'publish').length;
  live.publish('app:first', 1);
  await pass(20);
  for (let topic = 0; topic < 8; topic++) live.publish(`app:${topic}`, 1);
  await pass(500);
  expect(sent()).toBe(1);
  await pass(100);
  expect(sent()).toBe(9);
  for (let topic = 10; topic < 30; topic++) live.publish(`app:${topic}`, 1);
  await pass(540);
  expect(sent()).toBeLessThanOrEqual(19);
  await pass(5_000);
  expect(said(server, 'app:29')).toEqual([1]);
});

test('a message that is refused rejects with the problem, and the next ones go on', async () => {
  const server = new FakeServer();
  server.refuse = ({ data }) =>
    data === 'bad' ? { type: '/problems/forbidden', status: 403, title: 'No' } : null;
  const live = page(server);
  const outcomes = publishing(live, 'bad', 'good');
  await pass(1_000);
  expect([outcomes, said(server), live.outbox.getSnapshot().size]).toEqual([['forbidden', 1], ['good'], 0]);
});

test('too many requests: the message waits, and those behind it keep their place', async () => {
  const server = new FakeServer();
  let refusals = 3;
  const busy = { type: '/problems/rate-limited', status: 429, title: 'Slow down' };
  server.refuse = () => (refusals-- > 0 ? busy : null);
  const live = page(server);
  const outcomes = publishing(live, 'a', 'b');
  await pass(20_000, 100);
  expect([said(server), outcomes]).toEqual([
    ['a', 'b'],
    [1, 2],
  ]);
});

test('data above 28 KB is refused before it is kept', async () => {
  const live = page(new FakeServer());
  await expect(live.publish(TOPIC, 'ä'.repeat(15_000))).rejects.toMatchObject({ status: 413 });
  await expect(live.publish(TOPIC, 'ä'.repeat(15_000))).rejects.toBeInstanceOf(Problem);
  expect(live.outbox.getSnapshot().size).toBe(0);
});

const loop: Record<string, Json> = {};
loop.loop = loop;

test.each<[string, string, unknown, object]>([
  ['no topic', '', 1, {}],
  ['no messageId', TOPIC, 1, { messageId: '' }],
  ['nothing', TOPIC, undefined, {}],
  ['a function', TOPIC, () => 1, {}],
  ['what contains itself', TOPIC, loop, {}],
  ['a priority of 11', TOPIC, 1, { priority: 11 }],
  ['a priority of -1', TOPIC, 1, { priority: -1 }],
  ['half a priority', TOPIC, 1, { priority: 0.5 }],
  ['no priority at all', TOPIC, 1, { priority: Number.NaN }],
])('a message with %s is refused before it is kept, and the next one goes', async (_, topic, data, options) => {
  const server = new FakeServer();
  const live = page(server);
  await expect(live.publish(topic, data as Json, options)).rejects.toMatchObject({ status: 422, slug: 'invalid' });
  const good = live.publish(TOPIC, null, { priority: 10 });
  await pass(300);
  expect([await good, live.outbox.getSnapshot().size]).toMatchObject([{ offset: 1 }, 0]);
});

test('clear: what waits is forgotten, and its promises say so', async () => {
  const server = new FakeServer();
  server.down = true;
  const live = page(server);
  const outcomes = publishing(live, 'a', 'b');
  await pass(500);
  expect((await live.outbox.list()).map(({ data }) => data)).toEqual(['a', 'b']);
  await live.outbox.clear();
  server.down = false;
  await pass(5_000);
  expect([said(server), outcomes.length, live.outbox.getSnapshot().size]).toEqual([[], 2, 0]);
});

test('metrics count what happens', async () => {
  const server = new FakeServer();
  const live = page(server);
  shown(live, TOPIC);
  publishing(live, 1, 2);
  await pass(1_000);
  server.cut();
  await pass(3_000);
  const { responseTime, meanResponseTime, ...counts } = live.metrics.getSnapshot();
  expect(counts).toEqual({
    connections: 2,
    reconnects: 1,
    messagesReceived: 2,
    messagesSent: 2,
    errors: 1,
    queueSize: 0,
  });
  expect([responseTime, meanResponseTime]).toEqual([10, 10]);
});
