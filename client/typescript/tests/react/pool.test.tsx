// @vitest-environment jsdom
import { act, cleanup, render, renderHook, screen } from '@testing-library/react';
import { type ReactNode, StrictMode } from 'react';
import { afterEach, expect, it } from 'vitest';
import { PoolMetrics, SessionProvider, useWebSocketPool, type WebSocketPool } from '../../src/react/index.ts';
import { TestLive } from '../support/live.ts';
import { Service } from '../support/service.ts';

afterEach(cleanup);

const URLS = ['wss://one', 'wss://two'];

function opened(more = {}) {
  const made: TestLive[] = [];
  const connect = (url: string) => {
    const live = new TestLive(url);
    made.push(live);
    return live;
  };
  const options = { urls: URLS, ticket: async () => 't', connect, ...more };
  const hook = renderHook(({ urls }) => useWebSocketPool({ ...options, urls }), { initialProps: { urls: URLS } });
  return { made, ...hook };
}

it('opens a pool for as long as the component is shown, and tells its figures', () => {
  const { made, result, unmount } = opened();
  expect([result.current.getConnectionCount(), result.current.metrics.healthyConnections]).toEqual([2, 0]);
  expect(result.current.pool).not.toBeNull();
  act(() => made[0]?.open());
  expect(result.current.metrics).toMatchObject({ totalConnections: 2, healthyConnections: 1 });
  unmount();
  expect(made.map((live) => live.status.getSnapshot().state)).toEqual(['ended', 'ended']);
});

it('sends a message of a type on one connection, urgent ones first, and broadcasts to every address', async () => {
  const { made, result } = opened({ topic: 'app:receipts' });
  const sent = [0, 10].map((priority) => result.current.sendMessage({ type: 'process', data: 1, priority }));
  await act(async () => made[0]?.open());
  expect(made[0]?.queued.map(({ topic, data, priority }) => [topic, data, priority])).toEqual([
    ['app:receipts', { type: 'process', data: 1 }, 10],
    ['app:receipts', { type: 'process', data: 1 }, 0],
  ]);
  act(() => made[0]?.acknowledge());
  await expect(Promise.all(sent)).resolves.toHaveLength(2);
  act(() => made[1]?.open());
  const reached = result.current.broadcastMessage({ type: 'reload' });
  await act(async () => {});
  expect(made.map((live) => live.queued.map(({ data }) => data))).toEqual([
    [{ type: 'reload', data: null }],
    [{ type: 'reload', data: null }],
  ]);
  for (const live of made) act(() => live.acknowledge());
  expect((await reached).map(({ status }) => status)).toEqual(['fulfilled', 'fulfilled']);
});

it('other addresses are another pool; the same ones, in a new list, are not', () => {
  const { made, rerender } = opened({ minConnections: 1 });
  rerender({ urls: [...URLS] });
  expect(made).toHaveLength(1);
  rerender({ urls: ['wss://three'] });
  expect(made.map((live) => [live.url, live.status.getSnapshot().state])).toEqual([
    ['wss://one', 'ended'],
    ['wss://three', 'connecting'],
  ]);
});

function Page({ onRender }: { onRender: (pool: WebSocketPool) => void }) {
  const pool = useWebSocketPool({ urls: URLS, connect: (url) => new TestLive(url) });
  onRender(pool);
  return <PoolMetrics metrics={pool.metrics} />;
}

it('takes its tickets from the session above it; before it is shown it sends nothing', async () => {
  const seen: WebSocketPool[] = [];
  const within = ({ children }: { children: ReactNode }) => (
    <StrictMode>
      <SessionProvider client={new Service().client()}>{children}</SessionProvider>
    </StrictMode>
  );
  render(<Page onRender={(pool) => seen.push(pool)} />, { wrapper: within });
  await expect(seen[0]?.sendMessage({ type: 'early' })).rejects.toThrow('the pool is not open');
  expect(seen.at(-1)?.getConnectionCount()).toBe(2);
  const figure = (name: string) => screen.getByText(name).nextElementSibling?.textContent;
  expect([figure('Connections'), figure('Healthy'), figure('Response time')]).toEqual(['2', '0', '–']);
});
