/** Small views of the figures; their looks are the page's, by class. */

import type { ReactNode } from 'react';
import type { PoolMetrics as Figures } from '../pool/index.ts';
import { useLive, useWebSocketContext } from './live.tsx';
import { useOfflineSync } from './offline.ts';
import { useRates } from './rates.ts';
import { EMPTY, ZERO } from './stores.ts';
import { useStore } from './use-store.ts';

/** Connections, messages and errors a minute, response time, reconnects, and what waits. */
export function WebSocketMetrics() {
  const live = useLive();
  const { isConnected, error } = useWebSocketContext();
  const metrics = useStore(live?.metrics ?? ZERO, ZERO);
  const { size } = useStore(live?.outbox ?? EMPTY, EMPTY);
  const rates = useRates(live?.metrics ?? ZERO);
  return (
    <List name="websocket">
      <Figure name="Connection">{isConnected ? 'open' : (error ?? 'closed')}</Figure>
      <Figure name="Connections">{metrics.connections}</Figure>
      <Figure name="Messages a minute">{rates.messages}</Figure>
      <Figure name="Errors a minute">{rates.errors}</Figure>
      <Figure name="Reconnects a minute">{rates.reconnects}</Figure>
      <Figure name="Response time">{milliseconds(metrics.meanResponseTime)}</Figure>
      <Figure name="Waiting messages">{size}</Figure>
    </List>
  );
}

/** The figures of a pool: `<PoolMetrics metrics={useWebSocketPool(…).metrics} />`. */
export function PoolMetrics({ metrics }: { metrics: Figures }) {
  return (
    <List name="pool">
      <Figure name="Connections">{metrics.totalConnections}</Figure>
      <Figure name="Healthy">{metrics.healthyConnections}</Figure>
      <Figure name="Waiting messages">{metrics.pendingMessages}</Figure>
      <Figure name="Sent">{metrics.messagesSent}</Figure>
      <Figure name="Received">{metrics.messagesReceived}</Figure>
      <Figure name="Errors">{metrics.errors}</Figure>
      <Figure name="Response time">{milliseconds(metrics.averageResponseTime)}</Figure>
    </List>
  );
}

/** Whether there is a network, what waits for it, and a button to try now. */
export function OfflineStatus() {
  const { isOnline, offlineQueue, isSyncing, lastSyncTime, syncOfflineMessages } = useOfflineSync();
  const waiting = offlineQueue.length;
  return (
    <div className="tessera-offline" role="status" data-online={isOnline}>
      <span>{isOnline ? 'Online' : 'Offline'}</span>
      {waiting > 0 && <span> · {waiting === 1 ? '1 message waits' : `${waiting} messages wait`}</span>}
      {waiting > 0 && (
        <button type="button" disabled={isSyncing} onClick={() => void syncOfflineMessages()}>
          Send now
        </button>
      )}
      {waiting === 0 && lastSyncTime && <span> · all sent at {lastSyncTime.toLocaleTimeString()}</span>}
    </div>
  );
}

function List({ name, children }: { name: string; children: ReactNode }) {
  return <dl className={`tessera-metrics tessera-${name}`}>{children}</dl>;
}

function Figure({ name, children }: { name: string; children: ReactNode }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}

function milliseconds(value: number | null): string {
  return value === null ? '–' : `${Math.round(value)} ms`;
}
