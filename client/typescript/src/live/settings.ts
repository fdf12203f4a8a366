/** The numbers, and what is taken from the browser. */

import type { Environment, LiveMetrics, LiveStatus, OutboxState, Timing } from './types.ts';

export const DEFAULTS: Timing = {
  firstWait: 2_000,
  longestWait: 30_000,
  connectTimeout: 10_000,
  silence: 14_000,
  probeTimeout: 8_000,
  ackTimeout: 10_000,
  holeTimeout: 1_000,
  failures: 8,
  pause: 60_000,
  debounce: 100,
  batch: 10,
  rotateAfter: 110 * 60_000,
  leaderTimeout: 800,
};

/** A timer that fires so much later than asked says that the page was throttled or frozen (ms). */
export const LATE = 1_000;

export const IDLE: LiveStatus = { state: 'idle', leader: false, attempts: 0, problem: null };

export const EMPTY: OutboxState = { size: 0, syncing: false, lastSync: null, durable: false };

export const ZERO: LiveMetrics = {
  connections: 0,
  reconnects: 0,
  messagesReceived: 0,
  messagesSent: 0,
  errors: 0,
  responseTime: null,
  meanResponseTime: null,
  queueSize: 0,
};

/** Looked up when a connection is made, never at import: a server renders with this module too. */
export function environment(given: Partial<Environment> = {}): Environment {
  const { document, WebSocket, navigator, BroadcastChannel, window } = globalThis as Partial<typeof globalThis>;
  return {
    WebSocket: WebSocket as Environment['WebSocket'],
    locks: navigator?.locks,
    BroadcastChannel: document && BroadcastChannel,
    events: document && window,
    visible: () => document?.visibilityState !== 'hidden',
    now: Date.now,
    random: Math.random,
    id: () => crypto.randomUUID(),
    ...given,
  };
}
