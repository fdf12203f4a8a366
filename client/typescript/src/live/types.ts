/** What the live connection takes and gives. Nothing here runs. */

import type { Json } from '../json.ts';
import type { Problem } from '../problems.ts';
import type { Store } from '../store.ts';

/** A place in a topic. Offsets of different epochs have nothing to do with each other. */
export interface Position {
  epoch: string;
  offset: number;
}

export interface LiveMessage<T extends Json = Json> extends Position {
  topic: string;
  messageId: string;
  data: T;
  publishedAt: string;
  /** It is the last one that the topic keeps for newcomers; it was published before the subscription. */
  retained?: boolean;
}

export interface Member {
  /** One connection. */
  member: string;
  sessionId?: string;
  joinedAt: string;
}

/** What a subscription was told when it began, or began again after a connection was lost. */
export interface Subscribed extends Position {
  topic: string;
  /** Nothing is missing since the position before. False at the beginning, and when history was lost. */
  recovered: boolean;
}

export interface SubscribeOptions {
  /** Continue after this position; what came later is delivered first. */
  since?: Position;
  /** Follow who else is there. */
  presence?: boolean;
  onPresence?: (members: Member[]) => void;
  /** `recovered: false` after the first time says: fetch the state anew, messages are missing. */
  onSubscribed?: (subscribed: Subscribed) => void;
  /** The topic was refused, for instance 403. */
  onError?: (problem: Problem) => void;
}

export interface Subscription {
  readonly topic: string;
  /** Of the last message delivered, or where the subscription began; null before. */
  position(): Position | null;
  unsubscribe(): void;
}

export interface PublishOptions {
  /** The same id is published once; by default a new one. */
  messageId?: string;
  /** 0–10; higher ones overtake in the queue, 10 does not wait for its batch. Default 0. */
  priority?: number;
}

export interface LiveStatus {
  /**
   * `idle` nothing to do yet · `connecting` · `open` · `waiting` for the next try · `paused` the circuit is open for
   * 60 s, after eight failures in a row · `ended` the session is over, or close() was called.
   */
  state: 'idle' | 'connecting' | 'open' | 'waiting' | 'paused' | 'ended';
  /** Whether this tab holds the socket of all tabs. */
  leader: boolean;
  /** Failed tries since the socket was last open. */
  attempts: number;
  /** Why it is not open, or the last frame `error` that belongs to no call. */
  problem: Problem | null;
}

export interface OutboxState {
  /** Messages that are not acknowledged yet, of all tabs. */
  size: number;
  /** Some are on their way. */
  syncing: boolean;
  /** When the queue last became empty, ms since the epoch. */
  lastSync: number | null;
  /** They survive a reload; false where the browser has no IndexedDB, or refuses it. */
  durable: boolean;
}

/** Counters since the page was loaded. */
export interface LiveMetrics {
  /** Sockets that opened. */
  connections: number;
  /** Of these, after the first. */
  reconnects: number;
  messagesReceived: number;
  messagesSent: number;
  /** Failed tries, dead sockets, frames that were no frames, problems. */
  errors: number;
  /** From publish to ack, ms: the last, and the mean; null before the first. */
  responseTime: number | null;
  meanResponseTime: number | null;
  queueSize: number;
}

export interface QueuedMessage {
  topic: string;
  messageId: string;
  data: Json;
  priority: number;
  /** Order in which they were published, over all tabs. */
  seq: number;
}

export interface Live {
  /**
   * Every message after now (or after `since`) once and in order, over any number of connections.
   * Several subscriptions to a topic share it.
   */
  subscribe<T extends Json = Json>(
    topic: string,
    handler: (message: LiveMessage<T>) => void,
    options?: SubscribeOptions,
  ): Subscription;
  /** Keep it in the outbox and send it; resolves when the server has it. Rejects with a Problem if it refuses. */
  publish(topic: string, data: Json, options?: PublishOptions): Promise<Position>;
  readonly status: Store<LiveStatus>;
  readonly outbox: Store<OutboxState> & {
    /** What is not acknowledged yet, in the order of sending. */
    list(): Promise<QueuedMessage[]>;
    /** Forget what is not sent; its promises reject. */
    clear(): Promise<void>;
  };
  readonly metrics: Store<LiveMetrics>;
  /** Connect now, without waiting for a back-off or an open circuit. */
  connect(): void;
  /** Leave; messages in the outbox stay for the next time. */
  close(): void;
}

export interface LiveOptions {
  /** wss:// address of the WebSocket API. */
  url: string;
  /** Gives a ticket for each connection: `() => session.ticket()`. */
  ticket: () => Promise<string>;
  /** Tabs with the same name share socket and outbox. One session, one name: its id. Default `me`. */
  name?: string;
  /** One socket for all tabs (default where the browser can). */
  share?: boolean;
  /** Keep messages in IndexedDB (default where there is one). */
  durable?: boolean;
  /** Numbers to change with care; see `DEFAULTS` in live/settings.ts. */
  timing?: Partial<Timing>;
  /** What of the browser is used, for tests and for Node.js (`ws`). */
  environment?: Partial<Environment>;
}

/** All in milliseconds, but where it says otherwise. */
export interface Timing {
  /** First and longest span of the back-off; each wait is drawn from 0 to the span (full jitter). */
  firstWait: number;
  longestWait: number;
  connectTimeout: number;
  /** Silence before a probe, and how long its answer may take: together under 25 s. */
  silence: number;
  probeTimeout: number;
  /** An unacknowledged message is sent again. */
  ackTimeout: number;
  /** How long a hole may wait for a message that was overtaken. */
  holeTimeout: number;
  /** The circuit opens after so many failures (a count), for so long. */
  failures: number;
  pause: number;
  /** Messages that follow another within this time go together, at most so many (a count) at once. */
  debounce: number;
  batch: number;
  /** A socket's age at which it is replaced, if the server did not ask before. */
  rotateAfter: number;
  /** A follower in view asks its leader so often, and leads when there was no answer until then: twice this at most. */
  leaderTimeout: number;
}

/** The part of WebSocket that is used; the browser's own and that of `ws` fit. */
export interface Socket {
  onopen: ((event: never) => void) | null;
  onmessage: ((event: never) => void) | null;
  onclose: ((event: never) => void) | null;
  onerror: ((event: never) => void) | null;
  send(text: string): void;
  close(): void;
}

export interface Environment {
  WebSocket: new (url: string, protocols: string[]) => Socket;
  locks: LockManager | undefined;
  BroadcastChannel: typeof BroadcastChannel | undefined;
  /** Where `online`, `pageshow` and `visibilitychange` are heard. */
  events: EventTarget | undefined;
  visible: () => boolean;
  /** Milliseconds since the epoch. */
  now: () => number;
  /** 0 ≤ x < 1. */
  random: () => number;
  id: () => string;
}
