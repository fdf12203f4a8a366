import { expect, test, vi } from 'vitest';
import { createSessionClient, Problem } from '../src/index.ts';
import type { Environment, Live } from '../src/live/types.ts';
import { FakeBrowser } from './support/browser.ts';
import { ownTime, pass } from './support/clock.ts';
import { inTab, page, shown } from './support/lives.ts';
import { FakeServer, type FakeSocket } from './support/server.ts';

ownTime();

const TOPIC = 'app:room';

const state = (live: Live) => live.status.getSnapshot().state;

test('nothing is connected until something is wanted', async () => {
  const server = new FakeServer();
  const live = page(server);
  await pass(1_000);
  expect([state(live), server.opened]).toEqual(['idle', 0]);
});

test('each try takes a ticket of its own, and waits longer, with full jitter', async () => {
  const server = new FakeServer();
  server.down = true;
  const times: number[] = [];
  const start = Date.now();
  const ticket = async () => {
    times.push(Date.now() - start);
    return server.ticket();
  };
  const live = page(server, { ticket, timing: { failures: 6 } });
  shown(live, TOPIC);
  await pass(20_000, 5);
  // The spans are 1, 2, 4 and 8 s, and chance says one half.
  const waits = times.slice(1).map((time, index) => Math.round((time - (times[index] ?? 0)) / 500) / 2);
  expect(waits).toEqual([0.5, 1, 2, 4, 8]);
  expect(live.status.getSnapshot()).toMatchObject({ state: 'paused', attempts: 6 });
});

test('the circuit opens after five failures, and one try after 60 s closes it or opens it again', async () => {
  const server = new FakeServer();
  server.down = true;
  let tickets = 0;
  const ticket = () => {
    tickets++;
    return server.ticket();
  };
  const live = page(server, { ticket });
  shown(live, TOPIC);
  await pass(10_000);
  expect([state(live), tickets]).toEqual(['paused', 5]);
  await pass(50_000);
  expect(tickets).toBe(5);
  await pass(15_000);
  expect([state(live), tickets]).toEqual(['paused', 6]);
  server.down = false;
  await pass(65_000);
  expect([state(live), live.status.getSnapshot().attempts]).toEqual(['open', 0]);
});

test('a server that accepts and closes at once is no success', async () => {
  const server = new FakeServer();
  const ticket = () => {
    setTimeout(() => server.cut(), 7);
    return server.ticket();
  };
  const live = page(server, { ticket });
  live.connect();
  await pass(30_000);
  expect(state(live)).toBe('paused');
  expect(server.opened).toBeLessThan(8);
});

test.each(['online', 'pageshow', 'visibilitychange'])('%s: what waits is sent at once', async (event) => {
  const server = new FakeServer();
  server.down = true;
  const tab = new FakeBrowser().tab(server);
  const live = inTab(tab, server);
  live.publish(TOPIC, 'waits');
  await pass(20_000);
  expect(state(live)).toBe('paused');
  server.down = false;
  tab.visible = false;
  tab.dispatchEvent(new Event(event));
  await pass(200);
  // A page that nobody looks at takes part when the network is back, and otherwise keeps still.
  expect(state(live)).toBe(event === 'online' ? 'open' : 'paused');
  tab.visible = true;
  tab.dispatchEvent(new Event(event));
  await pass(200);
  expect([state(live), server.published.map(({ data }) => data)]).toEqual(['open', ['waits']]);
});

test('a socket that was given up is not awaited, and whatever comes of it later changes nothing', async () => {
  const server = new FakeServer();
  const sockets: FakeSocket[] = [];
  const Own = server.WebSocket() as new (...given: ConstructorParameters<Environment['WebSocket']>) => FakeSocket;
  class Kept extends Own {
    constructor(url: string, protocols: string[]) {
      super(url, protocols);
      sockets.push(this);
    }
    override close(): void {} // it never ends
  }
  const live = page(server, { environment: { WebSocket: Kept } });
  const seen = shown(live, TOPIC);
  await pass(1_000);
  const [dead] = sockets;
  const { onmessage, onclose } = dead ?? {};
  server.blackhole();
  await pass(24_000);
  expect([server.opened, dead?.onmessage === onmessage, dead?.onclose === onclose]).toEqual([2, false, false]);
  dead?.onmessage?.({ data: JSON.stringify({ type: 'rotate', before: '2026-01-01T00:00:00Z' }) } as never);
  dead?.onerror?.({} as never);
  dead?.onclose?.({} as never);
  server.publish(TOPIC, 1);
  await pass(5_000);
  expect([server.opened, seen, state(live)]).toEqual([2, [1], 'open']);
});

test('a half-open socket is found within 25 s, by a probe after silence, and what was missed comes', async () => {
  const server = new FakeServer();
  const live = page(server);
  const seen = shown(live, TOPIC);
  await pass(5_000);
  server.blackhole();
  server.publish(TOPIC, 'missed');
  await pass(25_000);
  expect([server.opened, seen]).toEqual([2, ['missed']]);
});

test('any frame is a sign of life: a busy socket is not probed while we say something, too', async () => {
  const server = new FakeServer();
  const live = page(server);
  shown(live, TOPIC);
  for (let second = 0; second < 60; second++) {
    if (second % 20 === 0) void live.publish(TOPIC, second);
    server.publish(TOPIC, second);
    await pass(1_000, 200);
  }
  expect(server.received.filter((frame) => frame.type === 'ping')).toEqual([]);
  expect(server.opened).toBe(1);
});

test('who only listens, on a busy topic, gives a sign of life within 30 s', async () => {
  const server = new FakeServer();
  shown(page(server), TOPIC);
  const said = [];
  for (let second = 0; second < 120; second++) {
    server.publish(TOPIC, second);
    await pass(1_000, 200);
    if (second % 30 === 29) said.push(server.received.splice(0).length > 0);
  }
  expect(said).toEqual([true, true, true, true]);
  expect(server.opened).toBe(1);
});

test('an idle socket that answers its probes stays', async () => {
  const server = new FakeServer();
  shown(page(server), TOPIC);
  await pass(300_000, 100);
  expect(server.opened).toBe(1);
});

test('throttled timers in a background tab: late timers are no dead socket', async () => {
  const server = new FakeServer();
  let slept = 0;
  shown(page(server, { environment: { now: () => Date.now() + slept } }), TOPIC);
  await pass(1_000);
  server.latency = () => 100;
  // Frozen for two minutes just after a probe; then timers fire before the answer that lies there is read.
  for (let times = 0; times < 10; times++) {
    const probes = () => server.received.filter((frame) => frame.type === 'ping').length;
    for (const before = probes(); probes() === before; ) await pass(50);
    server.held = [];
    slept += 120_000;
    await pass(8_100, 100);
    server.release();
    await pass(2_000, 100);
  }
  expect(server.opened).toBe(1);
}, 30_000);

test('a socket that died in a background tab is still found', async () => {
  const server = new FakeServer();
  let slept = 0;
  const seen = shown(page(server, { environment: { now: () => Date.now() + slept } }), TOPIC);
  await pass(1_000);
  server.blackhole();
  server.publish(TOPIC, 'missed');
  for (let second = 0; second < 40; second++) {
    slept += 60_000;
    await pass(1_000, 200);
  }
  expect([server.opened, seen]).toEqual([2, ['missed']]);
});

test('the circuit and its waits are one connection: two are never opened at once', async () => {
  const server = new FakeServer();
  const live = page(server);
  for (let each = 0; each < 5; each++) live.connect();
  await pass(1_000);
  expect(server.opened).toBe(1);
});

test('rotate: the new socket is up and has resumed before the old one goes', async () => {
  const server = new FakeServer();
  const live = page(server);
  const seen = shown(live, TOPIC);
  const states = new Set<string>();
  await pass(500);
  live.status.subscribe(() => states.add(state(live)));
  server.tell({ type: 'rotate', before: new Date(Date.now() + 300_000).toISOString() });
  let most = 0;
  for (let each = 0; each < 200; each++) {
    server.publish(TOPIC, each);
    for (let part = 0; part < 200; part++) {
      await pass(5, 5);
      most = Math.max(most, server.sockets.size);
    }
  }
  expect([server.opened, server.sockets.size, most]).toEqual([2, 1, 2]);
  expect(seen).toEqual(Array.from({ length: 200 }, (_, index) => index));
  expect([...states].filter((each) => each !== 'open')).toEqual([]);
});

test('rotate: what is published before the new socket has resumed comes over the old one', async () => {
  const server = new FakeServer();
  const live = page(server);
  const seen = shown(live, TOPIC);
  await pass(500);
  server.tell({ type: 'rotate', before: new Date(Date.now() + 61_000).toISOString() });
  while (server.opened < 2) await pass(1, 1);
  server.publish(TOPIC, 'meanwhile');
  await pass(5, 1);
  expect([server.sockets.size, seen]).toEqual([2, ['meanwhile']]);
  await pass(100);
  expect([server.sockets.size, seen]).toEqual([1, ['meanwhile']]);
});

test('rotate: what is on its way is sent again on the new socket, at once', async () => {
  const server = new FakeServer();
  const live = page(server);
  live.connect();
  await pass(500);
  server.loses = (frame) => frame.type === 'ack';
  const published = live.publish(TOPIC, 'once');
  await pass(100);
  server.loses = () => false;
  server.tell({ type: 'rotate', before: new Date(Date.now() + 60_000).toISOString() });
  await pass(200);
  expect(await published).toMatchObject({ offset: 1 });
  expect(server.published).toHaveLength(1);
});

test('rotate: a ticket of its own, by a token that is renewed for it, and no gap', async () => {
  const server = new FakeServer();
  const asked: string[] = [];
  const answer = async (path: string) => {
    if (path === '/tokens/refresh') return { accessToken: 'a2', refreshToken: 'r2', expiresIn: 900 };
    if (path === '/sessions')
      return { session: { id: 'ses_a' }, tokens: { accessToken: 'a1', refreshToken: 'r1', expiresIn: 60 } };
    return { ticket: await server.ticket() };
  };
  const fetch = async (url: string) => {
    asked.push(new URL(url).pathname);
    return new Response(JSON.stringify(await answer(new URL(url).pathname)));
  };
  const session = createSessionClient({ baseUrl: 'http://test', fetch: fetch as typeof globalThis.fetch });
  await session.create();
  const live = page(server, { ticket: () => session.ticket() });
  const seen = shown(live, TOPIC);
  await pass(40_000, 100);
  const states = new Set<string>();
  live.status.subscribe(() => states.add(state(live)));
  server.tell({ type: 'rotate', before: new Date(Date.now()).toISOString() });
  for (let each = 0; each < 50; each++) {
    server.publish(TOPIC, each);
    await pass(10, 5);
  }
  await pass(100);
  const ticket = '/sessions/ses_a/socket-ticket';
  expect(asked).toEqual(['/sessions', ticket, '/tokens/refresh', ticket]);
  expect([server.opened, [...states].filter((each) => each !== 'open')]).toEqual([2, []]);
  expect(seen).toEqual(Array.from({ length: 50 }, (_, index) => index));
});

test('a socket is replaced before it is two hours old, though nobody asked', async () => {
  const server = new FakeServer();
  const live = page(server);
  shown(live, TOPIC);
  await pass(111 * 60_000, 1_000);
  expect([server.opened, server.sockets.size, state(live)]).toEqual([2, 1, 'open']);
}, 30_000);

test('a rotation that fails is tried again, and the old socket stays meanwhile', async () => {
  const server = new FakeServer();
  const live = page(server);
  const seen = shown(live, TOPIC);
  await pass(500);
  server.down = true;
  server.tell({ type: 'rotate', before: new Date(Date.now() + 62_000).toISOString() });
  await pass(3_000);
  server.publish(TOPIC, 'still here');
  await pass(100);
  expect([state(live), seen]).toEqual(['open', ['still here']]);
  server.down = false;
  await pass(30_000);
  expect([server.opened, server.sockets.size]).toEqual([2, 1]);
});

test('session-ended ends it: no further try, and what waits is told', async () => {
  const server = new FakeServer();
  const live = page(server);
  shown(live, TOPIC);
  await pass(100);
  server.loses = (frame) => frame.type === 'ack';
  const waiting = expect(live.publish(TOPIC, 1)).rejects.toMatchObject({ slug: 'session-ended' });
  await pass(100);
  server.tell({
    type: 'error',
    problem: { type: '/problems/session-ended', title: 'Session ended', status: 401 },
  });
  await pass(20);
  server.cut();
  await pass(120_000, 100);
  await waiting;
  expect([state(live), server.opened, live.status.getSnapshot().problem?.slug]).toEqual([
    'ended',
    1,
    'session-ended',
  ]);
});

test('a connection that the service has forgotten is replaced, and what was missed comes', async () => {
  const server = new FakeServer();
  const live = page(server);
  const seen = shown(live, TOPIC);
  await pass(100);
  for (const socket of server.sockets) socket.topics.clear();
  server.publish(TOPIC, 'missed');
  server.tell({ type: 'error', problem: { type: '/problems/connection-unknown', status: 404 } });
  await pass(3_000);
  expect([state(live), server.opened, server.sockets.size, seen]).toEqual(['open', 2, 1, ['missed']]);
});

test('a ticket that is refused because the session is over ends it', async () => {
  const server = new FakeServer();
  const gone = new Problem({ type: '/problems/session-expired', title: 'Expired', status: 404 });
  const live = page(server, { ticket: () => Promise.reject(gone) });
  live.connect();
  await pass(100);
  expect(live.status.getSnapshot()).toMatchObject({ state: 'ended', problem: gone });
});

test('a ticket that is refused for a while is asked for again, not before Retry-After', async () => {
  const server = new FakeServer();
  const busy = new Problem({ type: '/problems/rate-limited', status: 429 }, 429, 10);
  const ticket = vi.fn(() => Promise.reject<string>(busy));
  const live = page(server, { ticket });
  live.connect();
  await pass(9_900);
  expect([ticket.mock.calls.length, state(live)]).toEqual([1, 'waiting']);
  ticket.mockImplementation(server.ticket);
  await pass(500);
  expect(state(live)).toBe('open');
});

test('frames that are none are counted and change nothing', async () => {
  const server = new FakeServer();
  const live = page(server);
  const seen = shown(live, TOPIC, { presence: true });
  await pass(100);
  for (const socket of server.sockets) {
    for (const data of [
      '{',
      '7',
      '{"type":"message"}',
      '{"type":"constructor"}',
      `{"type":"presence","topic":"${TOPIC}","joined":[null],"left":[]}`,
      `{"type":"presence","topic":"${TOPIC}","joined":[]}`,
      '{"type":"error","problem":"no object"}',
      '{"type":"rotate","before":"soon"}',
      '{"message":"Internal server error","connectionId":"x"}',
      'null',
    ]) {
      socket.onmessage?.({ data } as never);
    }
  }
  server.publish(TOPIC, 1);
  await pass(500);
  expect([seen, live.metrics.getSnapshot().errors, state(live)]).toEqual([[1], 10, 'open']);
});

test('a topic that is refused says so, and the others go on', async () => {
  const server = new FakeServer();
  const live = page(server);
  const seen = shown(live, TOPIC);
  const problems: string[] = [];
  const take = FakeServer.prototype.take;
  vi.spyOn(server, 'take').mockImplementation((socket, text) => {
    const { type, id, topic } = JSON.parse(text);
    if (type !== 'subscribe' || topic === TOPIC) return take.call(server, socket, text);
    socket.deliver({ type: 'error', id, problem: { type: '/problems/forbidden', status: 403 } });
  });
  shown(live, 'session:other', { onError: (problem: Problem) => problems.push(problem.slug) });
  await pass(100);
  server.publish(TOPIC, 1);
  await pass(100);
  expect([problems, seen]).toEqual([['forbidden'], [1]]);
});

test('presence: who is there, who comes and who leaves', async () => {
  const server = new FakeServer();
  const live = page(server);
  const there: string[][] = [];
  const take = FakeServer.prototype.take;
  const member = (name: string) => ({ member: name, joinedAt: '2026-11-20T10:00:00.000Z' });
  vi.spyOn(server, 'take').mockImplementation((socket, text) => {
    const { type, id, topic, presence } = JSON.parse(text);
    if (type !== 'subscribe') return take.call(server, socket, text);
    const rest = { epoch: 'e', offset: 0, recovered: false, messages: [] };
    socket.deliver({ type: 'subscribed', id, topic, ...rest, presence: presence ? [member('a')] : [] });
  });
  live.subscribe(TOPIC, () => {}, {
    presence: true,
    onPresence: (all) => there.push(all.map((each) => each.member)),
  });
  await pass(100);
  server.tell({ type: 'presence', topic: TOPIC, joined: [member('b')], left: [] });
  await pass(100);
  server.tell({ type: 'presence', topic: TOPIC, joined: [], left: [member('a')] });
  await pass(100);
  expect(there).toEqual([['a'], ['a', 'b'], ['b']]);
});

test('a handler that throws keeps nobody else from the message', async () => {
  const server = new FakeServer();
  const live = page(server);
  const faults: unknown[] = [];
  const own = process.listeners('uncaughtException');
  process.removeAllListeners('uncaughtException');
  process.once('uncaughtException', (error) => faults.push(error.message));
  live.subscribe(TOPIC, () => {
    throw new Error('the page is at fault');
  });
  const seen = shown(live, TOPIC);
  await pass(100);
  server.publish(TOPIC, 1);
  await pass(100);
  for (const listener of own) process.on('uncaughtException', listener);
  expect([seen, faults]).toEqual([[1], ['the page is at fault']]);
});

test('unsubscribe: nothing is shown any more, and the server is told with the last one', async () => {
  const server = new FakeServer();
  const live = page(server);
  const first = live.subscribe(TOPIC, () => {});
  const seen: unknown[] = [];
  const second = live.subscribe(TOPIC, ({ data }) => seen.push(data));
  await pass(100);
  second.unsubscribe();
  server.publish(TOPIC, 1);
  await pass(100);
  expect([seen, server.received.some((frame) => frame.type === 'unsubscribe')]).toEqual([[], false]);
  first.unsubscribe();
  await pass(100);
  expect(server.received.at(-1)).toMatchObject({ type: 'unsubscribe', topic: TOPIC });
});

test('close: the socket goes, and nothing is tried again', async () => {
  const server = new FakeServer();
  const live = page(server);
  shown(live, TOPIC);
  await pass(100);
  live.close();
  await pass(60_000, 100);
  expect([state(live), server.sockets.size, server.opened]).toEqual(['ended', 0, 1]);
});

test('a snapshot is the same object until something changes', async () => {
  const server = new FakeServer();
  const live = page(server);
  live.connect();
  await pass(1_000);
  const before = [live.status.getSnapshot(), live.outbox.getSnapshot()];
  await pass(10_000, 100);
  expect(
    [live.status.getSnapshot(), live.outbox.getSnapshot()].map((each, index) => each === before[index]),
  ).toEqual([true, true]);
});
