// @vitest-environment jsdom
import { act, cleanup, render, renderHook, screen, waitFor } from '@testing-library/react';
import type { ReactNode } from 'react';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import {
  OfflineStatus,
  useOfflineSync,
  useWebSocketContext,
  WebSocketMetrics,
  WebSocketProvider,
} from '../../src/react/index.ts';
import { TestLive } from '../support/live.ts';
import { FakeServer } from '../support/server.ts';
import { problem } from '../support/service.ts';

afterEach(cleanup);

function opened(more = {}) {
  const live = new TestLive();
  const wrapper = ({ children }: { children: ReactNode }) => (
    <WebSocketProvider live={live} {...more}>
      {children}
    </WebSocketProvider>
  );
  return { live, wrapper };
}

const network = (on: boolean) =>
  act(() => {
    vi.spyOn(navigator, 'onLine', 'get').mockReturnValue(on);
    dispatchEvent(new Event(on ? 'online' : 'offline'));
  });

describe('useWebSocketContext', () => {
  it('tells whether it is connected, how often it tried, and why not', () => {
    const { live, wrapper } = opened();
    const { result } = renderHook(useWebSocketContext, { wrapper });
    expect(result.current).toMatchObject({ isConnected: false, error: null, reconnectAttempts: 0 });
    act(() => live.open());
    expect(result.current.isConnected).toBe(true);
    act(() => live.status.set({ state: 'waiting', attempts: 2, problem: problem(503, 'unavailable') }));
    expect(result.current).toMatchObject({ isConnected: false, reconnectAttempts: 2 });
    expect(result.current.error).toContain('unavailable');
  });

  it('collects agents, metrics of the system, and events', () => {
    const { live, wrapper } = opened({ keep: 2 });
    const { result } = renderHook(useWebSocketContext, { wrapper });
    act(() => result.current.subscribeToAgent('receipts'));
    act(() => {
      live.deliver('agent:receipts', { status: 'idle' });
      live.deliver('agent:receipts', { status: 'busy' });
      live.deliver('system:metrics', { cpu: 0.5 });
      for (const id of ['1', '2', '3']) live.deliver('app:messages', { type: 'receipt_processed', data: id }, id);
    });
    expect(result.current.agents).toEqual([{ name: 'receipts', status: 'busy' }]);
    expect(result.current.systemMetrics).toEqual({ cpu: 0.5 });
    expect(result.current.events.map((event) => [event.type, event.data])).toEqual([
      ['receipt_processed', '2'],
      ['receipt_processed', '3'],
    ]);
    act(() => result.current.unsubscribeFromAgent('receipts'));
    expect(result.current.agents).toEqual([]);
    expect(live.topics).toEqual(['app:messages', 'system:metrics']);
  });

  it('sends messages of a type, with their priority', async () => {
    const { live, wrapper } = opened({ topic: 'app:receipts' });
    const { result } = renderHook(useWebSocketContext, { wrapper });
    const sent = result.current.sendMessage({ type: 'process_receipt', data: { id: 7 }, priority: 10 });
    expect(live.queued[0]).toMatchObject({
      topic: 'app:receipts',
      data: { type: 'process_receipt', data: { id: 7 } },
      priority: 10,
    });
    act(() => live.acknowledge());
    await expect(sent).resolves.toMatchObject({ offset: 1 });
  });

  it('asks anew for what is kept for newcomers, once for each agent', () => {
    const { live, wrapper } = opened();
    const { result } = renderHook(useWebSocketContext, { wrapper });
    act(() => result.current.subscribeToAgent('receipts'));
    const asked: string[] = [];
    const subscribe = live.subscribe.bind(live);
    live.subscribe = (topic, ...rest) => {
      asked.push(topic);
      return subscribe(topic, ...rest);
    };
    act(() => result.current.requestAgentStatus());
    act(() => result.current.requestAgentStatus('planner'));
    act(() => result.current.requestSystemMetrics());
    expect(asked).toEqual(['agent:receipts', 'agent:planner', 'system:metrics']);
    expect(live.topics).toHaveLength(4);
  });

  it.each(['waiting', 'paused'] as const)(
    'leaves at the first loss when it shall not connect again: %s',
    (lost) => {
      const { live, wrapper } = opened({ autoReconnect: false });
      renderHook(useWebSocketContext, { wrapper });
      act(() => live.open());
      act(() => live.status.set({ state: lost }));
      expect(live.status.getSnapshot().state).toBe('ended');
    },
  );
});

describe('WebSocketProvider with an address', () => {
  afterEach(() => void vi.unstubAllGlobals());

  function connected(more = {}) {
    const server = new FakeServer();
    vi.stubGlobal('WebSocket', server.WebSocket());
    const wrapper = ({ children }: { children: ReactNode }) => (
      <WebSocketProvider url="wss://test" ticket={server.ticket} {...more}>
        {children}
      </WebSocketProvider>
    );
    return { server, ...renderHook(useWebSocketContext, { wrapper }) };
  }

  it('connects while it is shown, and leaves with it', async () => {
    const { server, result, unmount } = connected();
    await waitFor(() => expect(result.current.isConnected).toBe(true));
    server.publish('app:messages', { type: 'hello', data: 1 });
    await waitFor(() => expect(result.current.events).toMatchObject([{ type: 'hello', data: 1 }]));
    unmount();
    await waitFor(() => expect(server.sockets.size).toBe(0));
  });

  it('probes after `heartbeatInterval`, and gives up after `heartbeatTimeout`', async () => {
    const { server, result } = connected({ heartbeatInterval: 20, heartbeatTimeout: 40, reconnectInterval: 1 });
    await waitFor(() => expect(result.current.isConnected).toBe(true));
    await waitFor(() => expect(server.received.map(({ type }) => type)).toContain('ping'));
    server.blackhole();
    await waitFor(() => expect(server.opened).toBeGreaterThan(1));
  });

  it('tries `maxReconnectAttempts` times, within `reconnectInterval` at first, and then pauses', async () => {
    const { server, result } = connected({ reconnectInterval: 1, maxReconnectAttempts: 3 });
    await waitFor(() => expect(result.current.isConnected).toBe(true));
    server.down = true;
    act(() => server.cut());
    await waitFor(() => expect(result.current.reconnectAttempts).toBe(3));
    expect(result.current.isConnected).toBe(false);
  });

  it('shares its socket with the tabs of its `name`', async () => {
    const asked: string[] = [];
    const request = (lock: string) => new Promise(() => asked.push(lock));
    const Channel = class {
      close() {}
    };
    vi.stubGlobal('navigator', { onLine: true, locks: { request } });
    vi.stubGlobal('BroadcastChannel', Channel);
    connected({ name: 'ses_1' });
    await waitFor(() => expect(asked).toEqual([expect.stringMatching(/^tessera\/ses_1\//)]));
  });

  it('says what is missing where there is neither a ticket nor a session', () => {
    const quiet = vi.spyOn(console, 'error').mockImplementation(() => {});
    expect(() => render(<WebSocketProvider url="wss://test" />)).toThrow('WebSocketProvider needs a ticket');
    quiet.mockRestore();
  });
});

describe('useOfflineSync', () => {
  beforeEach(() => network(true));

  it('shows the queue, what is on its way, and when all was sent', async () => {
    const { live, wrapper } = opened();
    const { result } = renderHook(useOfflineSync, { wrapper });
    network(false);
    expect(result.current.isOnline).toBe(false);
    await act(async () => void result.current.cacheOfflineMessage({ type: 'note', data: 1 }));
    expect(result.current.offlineQueue.map((one) => one.data)).toEqual([{ type: 'note', data: 1 }]);
    await act(async () => live.acknowledge());
    expect(result.current).toMatchObject({ offlineQueue: [], isSyncing: false });
    expect(result.current.lastSyncTime).toEqual(new Date('2026-11-20T12:00:00Z'));
  });

  it('shows the queue as it was known while the database does not answer, and the newest answer when it does', async () => {
    const { live, wrapper } = opened();
    const { result } = renderHook(useOfflineSync, { wrapper });
    await act(async () => void result.current.cacheOfflineMessage({ type: 'note', data: 1 }));
    const list = live.outbox.list;
    live.outbox.list = () => Promise.reject(new DOMException('closing', 'InvalidStateError'));
    await act(async () => void result.current.cacheOfflineMessage({ type: 'note', data: 2 }));
    expect(result.current.offlineQueue).toHaveLength(1);
    let late = () => {};
    live.outbox.list = async () => {
      const found = await list();
      await new Promise<void>((resolve) => {
        late = resolve;
      });
      return found;
    };
    await act(async () => void result.current.cacheOfflineMessage({ type: 'note', data: 3 }));
    live.outbox.list = list;
    await act(async () => live.acknowledge());
    await act(async () => late());
    expect(result.current.offlineQueue).toEqual([]);
  });

  it('syncs until nothing waits, or nothing can be sent', async () => {
    const { live, wrapper } = opened();
    const { result } = renderHook(useOfflineSync, { wrapper });
    await act(async () => void result.current.cacheOfflineMessage({ type: 'note' }));
    const first = result.current.syncOfflineMessages();
    act(() => live.lose());
    await first;
    const second = result.current.syncOfflineMessages();
    act(() => live.open());
    act(() => live.acknowledge());
    await second;
    expect(live.queued).toHaveLength(0);
  });

  it('falls back to the queue when there is no network or sending fails, under one id', async () => {
    const { live, wrapper } = opened();
    const { result } = renderHook(useOfflineSync, { wrapper });
    const ids: string[] = [];
    const failing = (message: { messageId: string }) => {
      ids.push(message.messageId);
      throw new Error('no');
    };
    const fallback = (send: (message: { messageId: string }) => unknown) =>
      act(() => result.current.sendMessageWithOfflineFallback({ type: 'note' }, send));
    expect(await fallback(() => undefined)).toBe(true);
    expect(live.queued).toHaveLength(0);
    expect(await fallback(failing)).toBe(false);
    expect(await fallback(() => false)).toBe(false);
    network(false);
    const send = vi.fn();
    expect(await fallback(send)).toBe(false);
    expect(send).not.toHaveBeenCalled();
    expect(live.queued).toHaveLength(3);
    expect(live.queued[0]?.messageId).toBe(ids[0]);
    await act(() => result.current.clearOfflineQueue());
    expect(result.current.offlineQueue).toEqual([]);
  });
});

describe('components', () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  it('show figures and what waits', async () => {
    const { live, wrapper } = opened();
    render(
      <>
        <WebSocketMetrics />
        <OfflineStatus />
      </>,
      { wrapper },
    );
    const figure = (name: string) => screen.getByText(name).nextElementSibling?.textContent;
    await act(async () => {
      live.open();
      void live.publish('app:x', 1);
      live.metrics.set({ messagesSent: 4, messagesReceived: 2, meanResponseTime: 12.4 });
      await vi.advanceTimersByTimeAsync(1_000);
    });
    expect(figure('Connection')).toBe('open');
    expect(figure('Connections')).toBe('1');
    expect(figure('Messages a minute')).toBe('6');
    expect(figure('Response time')).toBe('12 ms');
    expect(figure('Waiting messages')).toBe('1');
    expect(screen.getByRole('status').textContent).toContain('1 message waits');
    await act(() => vi.advanceTimersByTimeAsync(70_000));
    expect(figure('Messages a minute')).toBe('0');
    network(false);
    expect(screen.getByRole('status').textContent).toContain('Offline');
  });
});
