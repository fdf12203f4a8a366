/** Figures of connections as Prometheus reads them: text format 0.0.4. Rates are Prometheus's own to make. */

import type { Live } from '../live/types.ts';
import type { PoolMetrics } from './pool.ts';

type Kind = 'counter' | 'gauge';
type Sample = [name: string, kind: Kind, help: string, value: number | null];

export interface Measured {
  live?: Pick<Live, 'status' | 'metrics' | 'outbox'>;
  pool?: { getSnapshot(): PoolMetrics };
  /** Labels of every sample, such as `{app: 'dashboard'}`. */
  labels?: Record<string, string>;
}

/** The text; a figure that is not known yet is left out. */
export function prometheus({ live, pool, labels = {} }: Measured): string {
  const samples = [...(live ? ofLive(live) : []), ...(pool ? ofPool(pool.getSnapshot()) : [])];
  const pairs = Object.entries(labels).map(([name, value]) => `${name}="${escaped(value)}"`);
  const label = pairs.length > 0 ? `{${pairs.join()}}` : '';
  return samples
    .filter(([, , , value]) => value !== null)
    .map(
      ([name, kind, help, value]) => `# HELP ${name} ${help}\n# TYPE ${name} ${kind}\n${name}${label} ${value}\n`,
    )
    .join('');
}

function ofLive({ status, metrics, outbox }: NonNullable<Measured['live']>): Sample[] {
  const all = metrics.getSnapshot();
  return [
    [
      'websocket_connected',
      'gauge',
      'Whether the connection is open.',
      status.getSnapshot().state === 'open' ? 1 : 0,
    ],
    ['websocket_connections_total', 'counter', 'Connections that opened.', all.connections],
    ['websocket_reconnects_total', 'counter', 'Of these, after the first.', all.reconnects],
    ['websocket_messages_received_total', 'counter', 'Messages received.', all.messagesReceived],
    ['websocket_messages_sent_total', 'counter', 'Messages sent.', all.messagesSent],
    ['websocket_errors_total', 'counter', 'Failed tries, dead connections, refusals.', all.errors],
    ['websocket_response_time_seconds', 'gauge', 'Mean time from publish to ack.', seconds(all.meanResponseTime)],
    ['websocket_offline_queue_size', 'gauge', 'Messages that wait.', outbox.getSnapshot().size],
  ];
}

function ofPool(all: PoolMetrics): Sample[] {
  return [
    ['websocket_pool_connections', 'gauge', 'Connections of the pool.', all.totalConnections],
    ['websocket_pool_healthy_connections', 'gauge', 'Of these, open.', all.healthyConnections],
    ['websocket_pool_pending_messages', 'gauge', 'Messages without an ack.', all.pendingMessages],
    ['websocket_pool_messages_sent_total', 'counter', 'Messages sent by the pool.', all.messagesSent],
    ['websocket_pool_messages_received_total', 'counter', 'Messages received by the pool.', all.messagesReceived],
    ['websocket_pool_errors_total', 'counter', 'Errors of the pool.', all.errors],
    ['websocket_pool_response_time_seconds', 'gauge', 'Mean time to ack.', seconds(all.averageResponseTime)],
  ];
}

function seconds(milliseconds: number | null): number | null {
  return milliseconds === null ? null : milliseconds / 1_000;
}

function escaped(value: string): string {
  return value.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n');
}
