/** Messages that wait for the network. */

import { useCallback, useMemo } from 'react';
import type { Live, QueuedMessage } from '../live/types.ts';
import type { OutgoingMessage } from './board.ts';
import { useBoard, useLive } from './live.tsx';
import { EMPTY, fixed, NO_QUEUE, online, queueOf } from './stores.ts';
import { useStore } from './use-store.ts';

const ONLINE = fixed(true);

export interface OfflineSync {
  isOnline: boolean;
  /** What no service has acknowledged, of all tabs, in the order of sending. */
  offlineQueue: QueuedMessage[];
  isSyncing: boolean;
  lastSyncTime: Date | null;
  /** Keep it until it is sent; it is, without being asked, when the network is back. Returns its id. */
  cacheOfflineMessage: (message: OutgoingMessage) => string;
  /** Try now; resolves when nothing waits any more, or when it cannot be sent yet. */
  syncOfflineMessages: () => Promise<void>;
  clearOfflineQueue: () => Promise<void>;
  /** Send it with `send`; keep it when there is no network, or when `send` fails. Resolves with whether it was sent. */
  sendMessageWithOfflineFallback: <M extends OutgoingMessage>(
    message: M,
    send: (message: M & { messageId: string }) => unknown,
  ) => Promise<boolean>;
}

export function useOfflineSync(): OfflineSync {
  const live = useLive();
  const board = useBoard();
  const isOnline = useStore(online, ONLINE);
  const { syncing, lastSync } = useStore(live?.outbox ?? EMPTY, EMPTY);
  const queue = useMemo(() => (live ? queueOf(live) : NO_QUEUE), [live]);
  const offlineQueue = useStore<QueuedMessage[]>(queue, NO_QUEUE);

  const cacheOfflineMessage = useCallback(
    (message: OutgoingMessage) => {
      if (board === null) throw new Error('useOfflineSync needs a <WebSocketProvider> above it');
      const messageId = message.messageId ?? crypto.randomUUID();
      // Whoever clears the queue rejects it; nobody waits for this one.
      board.send({ ...message, messageId }).catch(() => undefined);
      return messageId;
    },
    [board],
  );
  const syncOfflineMessages = useCallback(() => (live ? drained(live) : Promise.resolve()), [live]);
  const clearOfflineQueue = useCallback(async () => live?.outbox.clear(), [live]);
  const sendMessageWithOfflineFallback: OfflineSync['sendMessageWithOfflineFallback'] = useCallback(
    async (message, send) => {
      // The same id both times: if `send` failed after all was sent, it is published once all the same.
      const named = { ...message, messageId: message.messageId ?? crypto.randomUUID() };
      if (isOnline && (await succeeds(() => send(named)))) return true;
      cacheOfflineMessage(named);
      return false;
    },
    [isOnline, cacheOfflineMessage],
  );
  return {
    isOnline,
    offlineQueue,
    isSyncing: syncing,
    lastSyncTime: useMemo(() => (lastSync === null ? null : new Date(lastSync)), [lastSync]),
    cacheOfflineMessage,
    syncOfflineMessages,
    clearOfflineQueue,
    sendMessageWithOfflineFallback,
  };
}

/** `false` says no, as an exception does. */
async function succeeds(send: () => unknown): Promise<boolean> {
  try {
    return (await send()) !== false;
  } catch {
    return false; // it is kept, and sent later
  }
}

function drained(live: Live): Promise<void> {
  live.connect();
  return new Promise((resolve) => {
    const look = () => {
      const { state } = live.status.getSnapshot();
      const stuck = state === 'waiting' || state === 'paused' || state === 'ended';
      if (live.outbox.getSnapshot().size > 0 && !stuck) return;
      for (const stop of stops) stop();
      resolve();
    };
    const stops = [live.outbox.subscribe(look), live.status.subscribe(look)];
    look();
  });
}
