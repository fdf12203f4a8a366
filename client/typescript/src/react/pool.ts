/** A pool of connections as long as a component is shown. */

import { useCallback, useEffect, useState } from 'react';
import type { Position } from '../live/types.ts';
import { EMPTY, Pool, type PoolMetrics, type PoolOptions } from '../pool/index.ts';
import type { OutgoingMessage } from './board.ts';
import { useSessionIfAny } from './session.tsx';
import { fixed } from './stores.ts';
import { useStore } from './use-store.ts';

export interface WebSocketPoolOptions extends Omit<PoolOptions, 'ticket'> {
  /** By default of the SessionProvider's session. */
  ticket?: PoolOptions['ticket'];
  /** Topic of the messages. Default `app:messages`. */
  topic?: string;
}

export interface WebSocketPool {
  /** Null on a server, and until the component is shown. */
  pool: Pool | null;
  metrics: PoolMetrics;
  sendMessage: (message: OutgoingMessage) => Promise<Position>;
  broadcastMessage: (message: OutgoingMessage) => Promise<PromiseSettledResult<Position>[]>;
  getConnectionCount: () => number;
}

const NO_METRICS = fixed(EMPTY);

/** `options` count at the first render; another set of `urls` makes another pool. */
export function useWebSocketPool(options: WebSocketPoolOptions): WebSocketPool {
  const session = useSessionIfAny();
  const ticket = options.ticket ?? (session ? () => session.ticket() : undefined);
  const { topic = 'app:messages' } = options;
  const [pool, setPool] = useState<Pool | null>(null);

  // biome-ignore lint/correctness/useExhaustiveDependencies: options are a new object at every render
  useEffect(() => {
    if (ticket === undefined) throw new Error('useWebSocketPool needs a ticket, or a SessionProvider above it');
    const made = new Pool({ ...options, ticket });
    made.start();
    setPool(made);
    return () => {
      setPool(null);
      made.close();
    };
  }, [options.urls.join(), session]);

  const metrics = useStore<PoolMetrics>(pool ?? NO_METRICS, NO_METRICS);
  const ready = useCallback(() => pool ?? fail(), [pool]);
  return {
    pool,
    metrics,
    sendMessage: useCallback(async (message) => ready().send(topic, content(message), message), [ready, topic]),
    broadcastMessage: useCallback(
      async (message) => ready().broadcast(topic, content(message), message),
      [ready, topic],
    ),
    getConnectionCount: useCallback(() => pool?.connectionCount ?? 0, [pool]),
  };
}

function content({ type, data = null }: OutgoingMessage) {
  return { type, data };
}

function fail(): never {
  throw new Error('the pool is not open');
}
