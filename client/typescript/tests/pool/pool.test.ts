import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { choose } from '../../src/pool/choosing.ts';
import { Pool, type PoolOptions, prometheus } from '../../src/pool/index.ts';
import { TestLive } from '../support/live.ts';
import { FakeServer } from '../support/server.ts';
import { problem } from '../support/service.ts';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const URLS = ['wss://one', 'wss://two'];

function opened(options: Partial<PoolOptions> = {}) {
  const made: TestLive[] = [];
  const connect = (url: string) => {
    const live = new TestLive(url);
    made.push(live);
    return live;
  };
  const pool = new Pool({ urls: URLS, ticket: async () => 't', connect, ...options });
  pool.start();
  return { pool, made, at: (index: number) => made[index] as TestLive };
}

const settled = () => vi.advanceTimersByTimeAsync(0);

it('opens the least number of connections, spread over the addresses', () => {
  const { pool, made } = opened({ minConnections: 4 });
  expect(made.map((live) => live.url)).toEqual(['wss://one', 'wss://two', 'wss://one', 'wss://two']);
  expect(pool.connectionCount).toBe(4);
  expect(pool.getSnapshot()).toMatchObject({
    totalConnections: 4,
    healthyConnections: 0,
    unhealthyConnections: 4,
  });
  made[0]?.open();
  expect(pool.getSnapshot().healthyConnections).toBe(1);
});

it('sends in turn, and keeps what comes while nothing is healthy, urgent messages first', async () => {
  const { pool, at } = opened();
  void pool.send('app:x', 1);
  void pool.send('app:x', 2, { priority: 10 });
  expect(at(0).queued).toHaveLength(0);
  at(0).open();
  expect(at(0).queued.map((sent) => sent.data)).toEqual([2, 1]);
  at(1).open();
  void pool.send('app:x', 3);
  void pool.send('app:x', 4);
  expect(at(0).queued.length + at(1).queued.length).toBe(4);
  expect(at(1).queued).toHaveLength(1);
});

it('sends again on another connection what was not acknowledged when one went, under the same id', async () => {
  const { pool, at } = opened();
  at(0).open();
  const sent = pool.send('app:x', 'hello');
  const [first] = at(0).queued;
  at(1).open();
  at(0).lose();
  expect(at(1).queued[0]?.messageId).toBe(first?.messageId);
  at(1).acknowledge();
  await expect(sent).resolves.toEqual({ epoch: 'e', offset: 1 });
  expect(pool.getSnapshot().pendingMessages).toBe(0);
});

it('passes on what the service refuses, and sends that nowhere else', async () => {
  const { pool, at } = opened();
  at(0).open();
  at(1).open();
  const sent = pool.send('agent:x', 'hello');
  const refused = expect(sent).rejects.toMatchObject({ status: 403 });
  at(0).refuse(problem(403, 'topic-forbidden'));
  await refused;
  expect(at(1).queued).toHaveLength(0);
});

it('grows while all are busy, up to the most, and shrinks when they are not', async () => {
  const { pool, made } = opened({ busyAt: 2, maxConnections: 3 });
  for (const live of made) live.open();
  for (let n = 0; n < 20; n++) void pool.send('app:x', n);
  expect(made).toHaveLength(3);
  made[2]?.open();
  for (let n = 0; n < 20; n++) void pool.send('app:x', n);
  expect(pool.connectionCount).toBe(3);
  for (const live of made) live.acknowledge();
  await settled();
  await vi.advanceTimersByTimeAsync(60_000);
  expect(pool.connectionCount).toBe(2);
});

it('replaces a connection that has ended', async () => {
  const { pool, made } = opened({ healthCheckInterval: 1_000 });
  made[0]?.close();
  await vi.advanceTimersByTimeAsync(1_000);
  expect(made).toHaveLength(3);
  expect(made[2]?.url).toBe('wss://one');
  expect(pool.connectionCount).toBe(2);
});

it('broadcasts once to each address', async () => {
  const { pool, made } = opened({ minConnections: 4 });
  for (const live of made) live.open();
  const all = pool.broadcast('app:x', 'hello');
  const reached = made.filter((live) => live.queued.length > 0);
  expect(reached.map((live) => live.url).sort()).toEqual(URLS);
  expect(new Set(reached.map((live) => live.queued[0]?.messageId)).size).toBe(1);
  for (const live of reached) live.acknowledge();
  expect((await all).map((one) => one.status)).toEqual(['fulfilled', 'fulfilled']);
});

it('gives up what waits when it is closed', async () => {
  const { pool, made } = opened();
  const sent = expect(pool.send('app:x', 1)).rejects.toMatchObject({ name: 'Unreachable' });
  pool.close();
  await sent;
  expect(made.every((live) => live.status.getSnapshot().state === 'ended')).toBe(true);
  expect(pool.connectionCount).toBe(0);
});

describe('the strategies', () => {
  const one = { healthy: true, pending: 1, sent: 5, responseTime: 20, errors: 0 };
  const idle = { ...one, pending: 0, sent: 9, responseTime: 90 };
  const failing = { ...one, pending: 0, sent: 0, responseTime: 5, errors: 3 };
  const dead = { ...one, healthy: false, pending: 0 };

  it('take only healthy ones', () => {
    for (const strategy of ['round-robin', 'least-used', 'health-based'] as const) {
      expect(choose([dead], strategy, 0)).toBeNull();
      expect(choose([dead, one], strategy, 3)).toBe(one);
    }
  });

  it('differ in what they prefer', () => {
    const all = [one, idle, failing];
    expect([0, 1, 2, 3].map((turn) => choose([...all], 'round-robin', turn))).toEqual([one, idle, failing, one]);
    expect(choose([...all], 'least-used', 0)).toBe(failing);
    expect(choose([...all], 'health-based', 0)).toBe(one);
  });
});

it('gives a try up after `connectionTimeout`, and makes another', async () => {
  const server = new FakeServer();
  server.latency = () => 60_000;
  const tried: string[] = [];
  const Own = server.WebSocket();
  vi.stubGlobal(
    'WebSocket',
    class extends Own {
      constructor(url: string, protocols: string[]) {
        super(url, protocols);
        tried.push(url);
      }
    },
  );
  const pool = new Pool({ urls: URLS, ticket: server.ticket, minConnections: 1, connectionTimeout: 500 });
  pool.start();
  await vi.advanceTimersByTimeAsync(499);
  expect([tried.length, pool.getSnapshot().errors]).toEqual([1, 0]);
  await vi.advanceTimersByTimeAsync(1);
  server.latency = () => 5;
  await vi.advanceTimersByTimeAsync(2_100);
  expect([tried, pool.getSnapshot().healthyConnections]).toEqual([['wss://one', 'wss://one'], 1]);
  pool.close();
  vi.unstubAllGlobals();
});

it.each(['round-robin', 'least-used', 'health-based'] as const)('sends by its strategy: %s', async (strategy) => {
  const { pool, at } = opened({ loadBalancingStrategy: strategy, busyAt: 99 });
  for (const index of [0, 1]) at(index).open();
  at(0).metrics.set({ meanResponseTime: 900 });
  at(1).metrics.set({ meanResponseTime: 20 });
  for (let n = 0; n < 4; n++) void pool.send('app:x', n).catch(() => {});
  expect([at(0).queued.length, at(1).queued.length]).toEqual(strategy === 'health-based' ? [0, 4] : [2, 2]);
  at(0).acknowledge();
  await settled();
  for (let n = 0; n < 2; n++) void pool.send('app:x', n).catch(() => {});
  const expected = { 'round-robin': [1, 3], 'least-used': [2, 2], 'health-based': [0, 6] };
  expect([at(0).queued.length, at(1).queued.length]).toEqual(expected[strategy]);
  pool.close();
});

it('tells Prometheus', () => {
  const { pool, at } = opened();
  at(0).open();
  at(0).metrics.set({ messagesSent: 3, meanResponseTime: 50 });
  const text = prometheus({ live: at(0), pool, labels: { app: 'a "b"' } });
  expect(text).toContain(
    '# TYPE websocket_connections_total counter\nwebsocket_connections_total{app="a \\"b\\""} 1\n',
  );
  expect(text).toContain('websocket_response_time_seconds{app="a \\"b\\""} 0.05\n');
  expect(text).toContain('websocket_pool_healthy_connections{app="a \\"b\\""} 1\n');
  expect(prometheus({ live: at(1) })).not.toContain('websocket_response_time_seconds');
  for (const line of text.trim().split('\n')) expect(line).toMatch(/^(# (HELP|TYPE) \w+ .+|\w+\{.+\} [\d.]+)$/);
});
