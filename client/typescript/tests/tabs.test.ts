import 'fake-indexeddb/auto';
import { IDBFactory } from 'fake-indexeddb';
import { afterEach, beforeEach, expect, onTestFinished, test, vi } from 'vitest';
import type { Json } from '../src/json.ts';
import type { Live } from '../src/live/types.ts';
import { FakeBrowser, FakeChannel } from './support/browser.ts';
import { ownTime, pass } from './support/clock.ts';
import { inTab, shown } from './support/lives.ts';
import { FakeServer } from './support/server.ts';

ownTime();

const TOPIC = 'app:room';

beforeEach(() => {
  globalThis.indexedDB = new IDBFactory();
});

afterEach(() => void vi.restoreAllMocks());

/** So many tabs of one browser, opened one after the other; each shows the topic. */
async function tabs(server: FakeServer, count: number, durable = true) {
  const browser = new FakeBrowser();
  const opened: { tab: ReturnType<FakeBrowser['tab']>; live: Live; seen: Json[] }[] = [];
  for (let each = 0; each < count; each++) {
    const tab = browser.tab(server);
    const live = inTab(tab, server, { durable });
    opened.push({ tab, live, seen: shown(live, TOPIC) });
    await pass(100);
  }
  return opened;
}

type Opened = Awaited<ReturnType<typeof tabs>>[number];

const leads = ({ live }: Opened) => live.status.getSnapshot().leader;
const count = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, index) => from + index);

test('all tabs share one socket, and each shows every message', async () => {
  const server = new FakeServer();
  const all = await tabs(server, 4);
  for (const number of count(1, 5)) server.publish(TOPIC, number);
  await pass(200);
  expect([server.opened, server.sockets.size]).toEqual([1, 1]);
  expect(all.map(leads)).toEqual([true, false, false, false]);
  for (const { live, seen } of all) {
    expect(seen).toEqual(count(1, 5));
    expect(live.status.getSnapshot().state).toBe('open');
  }
});

test('a follower publishes through the leader, and its own promise resolves', async () => {
  const server = new FakeServer();
  const [leader, follower] = await tabs(server, 2);
  const published = follower?.live.publish(TOPIC, 'from the second tab');
  await pass(300);
  expect(await published).toMatchObject({ offset: 1 });
  expect([leader?.seen, follower?.seen]).toEqual([['from the second tab'], ['from the second tab']]);
});

test.each([true, false])(
  'the leader dies: a follower leads within 2 s, and nothing is lost (durable: %s)',
  async (kept) => {
    const server = new FakeServer();
    const all = await tabs(server, 3, kept);
    const [first, second, third] = all;
    server.publish(TOPIC, 1);
    await pass(100);
    server.loses = (frame) => frame.type === 'ack';
    const outcomes: unknown[] = [];
    second?.live.publish(TOPIC, 2).then(({ offset }) => outcomes.push(offset));
    third?.live.publish(TOPIC, 3).then(({ offset }) => outcomes.push(offset));
    await pass(50);
    third?.live.publish(TOPIC, 4).then(({ offset }) => outcomes.push(offset));
    first?.tab.kill();
    server.loses = () => false;
    server.publish(TOPIC, 'meanwhile');
    await pass(2_000);
    expect(all.slice(1).map(leads)).toEqual([true, false]);
    expect(second?.seen).toEqual(server.published.map(({ data }) => data));
    expect(third?.seen).toEqual(second?.seen);
    expect([...(second?.seen ?? [])].sort()).toEqual([1, 2, 3, 4, 'meanwhile']);
    expect(outcomes).toHaveLength(3);
    expect(server.opened).toBe(2);
  },
);

test('what the dead leader had accepted but not sent is sent by the next one', async () => {
  const server = new FakeServer();
  const [first, second] = await tabs(server, 2);
  server.cut();
  first?.live.publish(TOPIC, 'kept').catch(() => {});
  await pass(50);
  first?.tab.kill();
  await pass(2_000);
  expect([server.published.map(({ data }) => data), second?.seen]).toEqual([['kept'], ['kept']]);
});

test('a leader that hangs: a tab that is looked at leads within 2 s, and nothing is lost', async () => {
  const server = new FakeServer();
  const all = await tabs(server, 3);
  const [first, second, third] = all;
  if (!first || !second || !third) throw new Error('three tabs');
  third.tab.hide();
  // However long after its last answer it hangs.
  for (const since of [0, 300, 600, 790]) {
    const [leader = first, follower = second] = leads(first) ? [first, second] : [second, first];
    await pass(since);
    leader.tab.hung = true;
    server.publish(TOPIC, 'to a socket that nobody reads');
    const published = follower.live.publish(TOPIC, `said to nobody, ${since} ms later`);
    await pass(1_700);
    expect(all.filter(leads)).toContain(follower);
    await published;
    leader.tab.goOn();
    await pass(1_000);
    expect([all.filter(leads), server.sockets.size]).toEqual([[follower], 1]);
    server.publish(TOPIC, 'after that');
    await pass(100);
  }
  const said = server.published.map(({ data }) => data);
  expect(said).toHaveLength(12);
  for (const { seen } of all) expect(seen).toEqual(said);
});

test('what a leader published while it was robbed is sent by the next one', async () => {
  const server = new FakeServer();
  const [first, second] = await tabs(server, 2);
  if (!first || !second) throw new Error('two tabs');
  first.tab.hung = true;
  await pass(2_000);
  const published = first.live.publish(TOPIC, 'before it knew');
  await pass(100);
  first.tab.goOn();
  await pass(1_000);
  expect(await published).toMatchObject({ offset: 1 });
  expect([second.seen, first.seen]).toEqual([['before it knew'], ['before it knew']]);
});

test('a leader that hangs where nobody looks at a follower keeps its place, and nobody asks it', async () => {
  const server = new FakeServer();
  const [first, second] = await tabs(server, 2);
  if (!first || !second) throw new Error('two tabs');
  second.tab.hide();
  await pass(1_000);
  const said = vi.spyOn(FakeChannel.prototype, 'postMessage');
  first.tab.hung = true;
  await pass(60_000, 100);
  const asked = (said.mock.contexts as FakeChannel[]).filter(({ tab }) => tab === second.tab);
  expect([leads(first), asked]).toEqual([true, []]);
  second.tab.show();
  await pass(2_000);
  expect(leads(second)).toBe(true);
});

test('a leader that is slow is not robbed', async () => {
  const server = new FakeServer();
  const all = await tabs(server, 2);
  for (let each = 0; each < 30; each++) {
    if (all[0]) all[0].tab.hung = true;
    await pass(700);
    all[0]?.tab.goOn();
    await pass(100 + each);
  }
  expect([all.map(leads), server.opened]).toEqual([[true, false], 1]);
});

test('a machine that slept, or a follower that was busy, takes nothing from its leader', async () => {
  const server = new FakeServer();
  let slept = 0;
  const browser = new FakeBrowser();
  const [first, second] = [browser.tab(server), browser.tab(server)];
  const leader = inTab(first, server);
  shown(leader, TOPIC);
  await pass(100);
  shown(inTab(second, server, { environment: { now: () => Date.now() + slept } }), TOPIC);
  const said = vi.spyOn(FakeChannel.prototype, 'postMessage');
  for (const time of [500, 5_000, 3_600_000]) {
    first.hung = true;
    const asked = said.mock.calls.length;
    while (said.mock.calls.length === asked) await pass(5);
    // The question lies unread, and the timer of whoever asked is late.
    slept += time;
    await pass(950);
    first.goOn();
    await pass(2_000);
    expect([leader.status.getSnapshot().leader, server.opened]).toEqual([true, 1]);
  }
});

test('a follower asks little more than once a second while somebody looks at it, and the server nothing', async () => {
  const server = new FakeServer();
  await tabs(server, 2);
  await pass(1_000);
  const [frames, asked] = [server.received.length, vi.spyOn(FakeChannel.prototype, 'postMessage')];
  await pass(10_000);
  expect(asked.mock.calls.length).toBeLessThanOrEqual(27);
  expect(server.received).toHaveLength(frames);
});

/** What this method of IndexedDB asks for takes so many ms. */
function slowly<T extends 'open' | 'getAll'>(
  of: Record<T, (...given: never[]) => IDBRequest>,
  method: T,
  time: number,
) {
  const own = of[method];
  of[method] = function (this: unknown, ...given) {
    const request = own.apply(this, given);
    const listen = request.addEventListener.bind(request) as (...all: unknown[]) => void;
    request.addEventListener = (type: string, heard: (event: Event) => void) =>
      listen(type, (event: Event) => (type === 'success' ? setTimeout(heard, time, event) : heard(event)));
    return request;
  };
  onTestFinished(() => {
    of[method] = own;
  });
}

test('a leader whose database is slow to open is not robbed, and passes on what it hears meanwhile', async () => {
  const server = new FakeServer();
  slowly(IDBFactory.prototype, 'open', 5_000);
  const all = await tabs(server, 2);
  const published = all[0]?.live.publish(TOPIC, 'said');
  server.publish(TOPIC, 'heard');
  await pass(4_000);
  expect([all.map(leads), all[1]?.seen]).toEqual([[true, false], ['heard']]);
  await pass(4_000);
  await published;
  expect([all[1]?.seen, server.opened]).toEqual([['heard', 'said'], 1]);
});

test('a new leader whose database is slow to read sends nothing before what was published earlier', async () => {
  const server = new FakeServer();
  const [first, second] = await tabs(server, 2);
  server.down = true;
  server.cut();
  first?.live.publish(TOPIC, 'earlier').catch(() => {});
  await pass(100);
  const published = second?.live.publish(TOPIC, 'later');
  await pass(100);
  slowly(IDBObjectStore.prototype, 'getAll', 3_000);
  server.down = false;
  first?.tab.kill();
  await pass(5_000);
  await published;
  expect(second?.seen).toEqual(['earlier', 'later']);
});

test('what a tab that led before says of its own socket keeps nobody from asking', async () => {
  const server = new FakeServer();
  const [, second, third] = await tabs(server, 3);
  const state = { kind: 'state', visible: true, outbox: {}, metrics: {} };
  const status = { state: 'waiting', leader: true, attempts: 1, problem: null };
  const before = new FakeChannel('tessera/me', second?.tab ?? new FakeBrowser().tab(server));
  before.postMessage({ down: { ...state, status } });
  await pass(10);
  const seen = third && shown(third.live, 'app:other');
  await pass(2_000);
  server.publish('app:other', 1);
  await pass(100);
  expect(seen).toEqual([1]);
});

test('a leader that comes out of the back-forward cache follows whoever leads now', async () => {
  const server = new FakeServer();
  const [first, second] = await tabs(server, 2);
  if (!first || !second) throw new Error('two tabs');
  first.tab.visible = false;
  first.tab.asleep = true;
  server.blackhole();
  server.publish(TOPIC, 1);
  await pass(2_000);
  expect([leads(second), second.seen]).toEqual([true, [1]]);
  first.tab.wake();
  server.publish(TOPIC, 2);
  await pass(3_000);
  expect([leads(first), first.seen, server.sockets.size]).toEqual([false, [1, 2], 1]);
});

test('a leader in the background that lost its connection hands over to a tab that is looked at', async () => {
  const server = new FakeServer();
  const [first, second] = await tabs(server, 2);
  if (!first || !second) throw new Error('two tabs');
  first.tab.hide();
  await pass(100);
  expect(leads(first)).toBe(true);
  server.cut();
  await pass(1_000);
  expect([leads(first), leads(second), server.sockets.size]).toEqual([false, true, 1]);
});

test('a leader in the background whose connection is good stays: frames are not throttled', async () => {
  const server = new FakeServer();
  const all = await tabs(server, 2);
  all[0]?.tab.hide();
  await pass(60_000, 100);
  expect([all.map(leads), server.opened]).toEqual([[true, false], 1]);
  // Each tab has asked once; looking after the leader asks nothing of the server.
  expect(server.received.filter((frame) => frame.type === 'subscribe')).toHaveLength(2);
});

test('the server is told to stop when the last tab that wants a topic is gone, dead or not', async () => {
  const server = new FakeServer();
  const [, second, third] = await tabs(server, 3);
  const told = () => server.received.filter((frame) => frame.type === 'unsubscribe').map((frame) => frame.topic);
  const one = second?.live.subscribe('app:other', () => {});
  third?.live.subscribe('app:other', () => {});
  await pass(100);
  one?.unsubscribe();
  await pass(100);
  expect(told()).toEqual([]);
  third?.tab.kill();
  await pass(100);
  expect(told()).toEqual(['app:other']);
});

test('one tab follows who is there, another does not: the connection does', async () => {
  const server = new FakeServer();
  const [first, second] = await tabs(server, 2);
  first?.live.subscribe('app:people', () => {}, { presence: true });
  await pass(50);
  second?.live.subscribe('app:people', () => {});
  await pass(100);
  const asked = server.received.filter((frame) => frame.type === 'subscribe' && frame.topic === 'app:people');
  expect(asked).toMatchObject([{ presence: true }, { presence: true }]);
});

test('outbox and counters are the same in all tabs', async () => {
  const server = new FakeServer();
  const [first, second] = await tabs(server, 2);
  server.cut();
  second?.live.publish(TOPIC, 1);
  await pass(400);
  expect(first?.live.outbox.getSnapshot().size).toBe(1);
  expect(second?.live.outbox.getSnapshot()).toEqual(first?.live.outbox.getSnapshot());
  await pass(3_000);
  expect(second?.live.metrics.getSnapshot()).toEqual(first?.live.metrics.getSnapshot());
  expect(second?.live.metrics.getSnapshot()).toMatchObject({ connections: 2, messagesSent: 1, queueSize: 0 });
});

test('the session ends for all tabs at once', async () => {
  const server = new FakeServer();
  const all = await tabs(server, 3);
  server.tell({
    type: 'error',
    problem: { type: '/problems/session-ended', title: 'Session ended', status: 401 },
  });
  await pass(100);
  for (const { live } of all) {
    expect(live.status.getSnapshot()).toMatchObject({ state: 'ended', problem: { slug: 'session-ended' } });
  }
  await pass(60_000, 100);
  expect(server.opened).toBe(1);
});

test('a tab that leaves by itself gives the lead away at once', async () => {
  const server = new FakeServer();
  const all = await tabs(server, 2);
  all[0]?.live.close();
  await pass(200);
  expect([all.map(leads), server.sockets.size]).toEqual([[false, true], 1]);
});

test('tabs that publish at once: every message once, in the order of each tab', async () => {
  const server = new FakeServer();
  const all = await tabs(server, 3);
  for (const number of count(1, 10)) {
    for (const [index, { live }] of all.entries()) live.publish(TOPIC, [index, number]);
  }
  await pass(5_000);
  const data = server.published.map((message) => message.data as [number, number]);
  for (const index of [0, 1, 2]) {
    expect(data.filter(([tab]) => tab === index).map(([, number]) => number)).toEqual(count(1, 10));
  }
  expect(data).toHaveLength(30);
});
