import { expect, test, vi } from 'vitest';
import type { Subscribed } from '../src/live/types.ts';
import { ownTime, pass } from './support/clock.ts';
import { page, shown } from './support/lives.ts';
import { FakeServer } from './support/server.ts';

ownTime();

const TOPIC = 'app:room';

test('messages after the subscription are shown once and in order', async () => {
  const server = new FakeServer();
  server.publish(TOPIC, 'before');
  const seen = shown(page(server), TOPIC);
  await pass(100);
  for (const number of [1, 2, 3]) server.publish(TOPIC, number);
  await pass(100);
  expect(seen).toEqual([1, 2, 3]);
});

test('what comes in disorder and twice is put right', async () => {
  const server = new FakeServer();
  const seen = shown(page(server), TOPIC);
  await pass(100);
  let number = 0;
  server.latency = () => (++number % 3) * 200;
  for (let each = 1; each <= 30; each++) server.publish(TOPIC, each);
  server.tell({ type: 'message', ...server.published[3] });
  await pass(1_000);
  expect(seen).toEqual(Array.from({ length: 30 }, (_, index) => index + 1));
});

test('a hole that stays is fetched', async () => {
  const server = new FakeServer();
  const seen = shown(page(server), TOPIC);
  await pass(100);
  server.loses = (frame) => frame.type === 'message' && frame.data === 2;
  for (const number of [1, 2, 3]) server.publish(TOPIC, number);
  await pass(500);
  expect(seen).toEqual([1]);
  await pass(1_500);
  expect(seen).toEqual([1, 2, 3]);
});

test('what is published while the connection is gone comes after it', async () => {
  const server = new FakeServer();
  const seen = shown(page(server), TOPIC);
  await pass(100);
  server.publish(TOPIC, 1);
  await pass(100);
  server.cut();
  server.publish(TOPIC, 2);
  await pass(3_000);
  server.publish(TOPIC, 3);
  await pass(100);
  expect(seen).toEqual([1, 2, 3]);
});

test('since: a page continues where the one before it was', async () => {
  const server = new FakeServer();
  const { epoch } = server.topic(TOPIC);
  for (const number of [1, 2, 3]) server.publish(TOPIC, number);
  const seen = shown(page(server), TOPIC, { since: { epoch, offset: 1 } });
  await pass(100);
  expect(seen).toEqual([2, 3]);
});

test('a history that does not fit into one frame is complete before anything later is shown', async () => {
  const server = new FakeServer();
  const { epoch } = server.topic(TOPIC);
  for (const number of [1, 2, 3, 4]) server.publish(TOPIC, number);
  const { history } = server.topic(TOPIC);
  const seen = shown(page(server), TOPIC, { since: { epoch, offset: 0 } });
  const deliver = FakeServer.prototype.take;
  vi.spyOn(server, 'take').mockImplementation((socket, text) => {
    const frame = JSON.parse(text);
    if (frame.type !== 'subscribe') return deliver.call(server, socket, text);
    socket.deliver({
      ...frame,
      type: 'subscribed',
      epoch,
      offset: 4,
      recovered: true,
      messages: history.slice(0, 2),
    });
    for (const message of history.slice(2).reverse()) socket.deliver({ type: 'message', ...message });
  });
  await pass(200);
  expect(seen).toEqual([1, 2, 3, 4]);
});

// Faults that clients of others had.

test('recovery before the first event: the position of the subscription counts, though no message came', async () => {
  const server = new FakeServer();
  server.publish(TOPIC, 'old');
  const seen = shown(page(server), TOPIC);
  await pass(100);
  server.cut();
  server.publish(TOPIC, 'missed');
  await pass(3_000);
  expect(seen).toEqual(['missed']);
});

test('second recovery: it begins where the first one ended', async () => {
  const server = new FakeServer();
  const seen = shown(page(server), TOPIC);
  await pass(100);
  for (const number of [1, 2, 3]) {
    server.cut();
    server.publish(TOPIC, number);
    await pass(3_000);
  }
  expect(seen).toEqual([1, 2, 3]);
  const asked = server.received.filter((frame) => frame.type === 'subscribe').map((frame) => frame.since?.offset);
  expect(asked).toEqual([undefined, 0, 1, 2]);
});

test('expired position: it is told, and what comes next is shown', async () => {
  const server = new FakeServer();
  server.window = 2;
  const told: Subscribed[] = [];
  const seen = shown(page(server), TOPIC, { onSubscribed: (subscribed: Subscribed) => told.push(subscribed) });
  await pass(100);
  server.cut();
  for (const number of [1, 2, 3, 4]) server.publish(TOPIC, number);
  await pass(3_000);
  server.publish(TOPIC, 5);
  await pass(100);
  expect(told.map(({ recovered, offset }) => [recovered, offset])).toEqual([
    [false, 0],
    [false, 4],
  ]);
  expect(seen).toEqual([5]);
});

test('epoch mixed with an old offset: a new epoch begins with its own offset', async () => {
  const server = new FakeServer();
  const seen = shown(page(server), TOPIC);
  await pass(100);
  for (const number of [1, 2, 3]) server.publish(TOPIC, number);
  await pass(100);
  server.cut();
  server.forget(TOPIC);
  server.publish(TOPIC, 'lost with the old epoch');
  await pass(3_000);
  server.publish(TOPIC, 'new');
  await pass(100);
  expect(seen).toEqual([1, 2, 3, 'new']);
  server.cut();
  await pass(3_000);
  const { epoch } = server.topic(TOPIC);
  expect(server.received.filter((frame) => frame.type === 'subscribe').at(-1)?.since).toEqual({
    epoch,
    offset: 2,
  });
});

test('an epoch that changes while connected is noticed by the first message of the new one', async () => {
  const server = new FakeServer();
  const told: boolean[] = [];
  const seen = shown(page(server), TOPIC, { onSubscribed: (each: Subscribed) => told.push(each.recovered) });
  await pass(100);
  server.publish(TOPIC, 1);
  await pass(100);
  server.forget(TOPIC);
  server.publish(TOPIC, 'first of the new epoch');
  await pass(100);
  server.publish(TOPIC, 'second');
  await pass(100);
  expect(told).toEqual([false, false]);
  expect(seen).toEqual([1, 'second']);
});

test('replay of what is already shown: neither a resumed history nor a kept message is shown again', async () => {
  const server = new FakeServer();
  const seen = shown(page(server), 'agent:ocr');
  await pass(100);
  server.publish('agent:ocr', 'busy');
  await pass(100);
  const [kept] = server.topic('agent:ocr').history;
  server.tell({ type: 'message', ...kept });
  server.window = 0;
  server.publish('agent:ocr', 'idle');
  await pass(100);
  const take = FakeServer.prototype.take;
  vi.spyOn(server, 'take').mockImplementation((socket, text) => {
    const { type, id, topic } = JSON.parse(text);
    if (type !== 'subscribe') return take.call(server, socket, text);
    const retained = { ...kept, offset: 2, data: 'idle' };
    socket.deliver({
      type: 'subscribed',
      id,
      topic,
      epoch: kept?.epoch,
      offset: 2,
      recovered: false,
      messages: [],
      retained,
    });
  });
  server.cut();
  await pass(3_000);
  expect(seen).toEqual(['busy', 'idle']);
});

test('a newcomer of the same page gets the message that its topic keeps', async () => {
  const server = new FakeServer();
  const live = page(server);
  shown(live, 'agent:ocr');
  await pass(100);
  server.publish('agent:ocr', 'busy');
  await pass(100);
  const late: unknown[] = [];
  live.subscribe('agent:ocr', ({ data, retained }) => late.push([data, retained]));
  await pass(100);
  expect(late).toEqual([['busy', true]]);
  expect(server.received.filter((frame) => frame.type === 'subscribe')).toHaveLength(1);
});
