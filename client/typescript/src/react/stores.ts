/** Stores that hooks read where there is nothing to read from: on a server, before a provider is ready. */

import type { Live, LiveMetrics, LiveStatus, OutboxState, QueuedMessage } from '../live/types.ts';
import type { Store } from '../store.ts';

const UNHEARD = () => () => undefined;

/** A store that never changes. */
export function fixed<T>(value: T): Store<T> {
  return { subscribe: UNHEARD, getSnapshot: () => value };
}

export const IDLE: Store<LiveStatus> = fixed({ state: 'idle', leader: false, attempts: 0, problem: null });
export const EMPTY: Store<OutboxState> = fixed({ size: 0, syncing: false, lastSync: null, durable: false });
export const ZERO: Store<LiveMetrics> = fixed({
  connections: 0,
  reconnects: 0,
  messagesReceived: 0,
  messagesSent: 0,
  errors: 0,
  responseTime: null,
  meanResponseTime: null,
  queueSize: 0,
});

/** Whether the browser believes that there is a network; a server does. */
export const online: Store<boolean> = {
  subscribe(listener) {
    addEventListener('online', listener);
    addEventListener('offline', listener);
    return () => {
      removeEventListener('online', listener);
      removeEventListener('offline', listener);
    };
  },
  getSnapshot: () => navigator.onLine,
};

export const NO_QUEUE: Store<QueuedMessage[]> = fixed([]);

/** The messages of an outbox, read anew when it changes. */
export function queueOf(live: Live): Store<QueuedMessage[]> {
  let queue: QueuedMessage[] = [];
  const listeners = new Set<() => void>();
  let asked = 0;
  const read = async () => {
    const turn = ++asked;
    const found = await live.outbox.list().catch(() => queue); // its next change is another chance
    if (turn !== asked || (found.length === 0 && queue.length === 0)) return;
    queue = found;
    for (const listener of listeners) listener();
  };
  return {
    subscribe(listener) {
      listeners.add(listener);
      const stop = live.outbox.subscribe(() => void read());
      void read();
      return () => {
        stop();
        listeners.delete(listener);
      };
    },
    getSnapshot: () => queue,
  };
}
