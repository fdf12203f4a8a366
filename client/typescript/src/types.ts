/** What the core promises: the types that pages, hooks and the pool build on. Nothing here runs. */

import type { components } from './openapi.ts';
import type { Problem } from './problems.ts';

type Schemas = components['schemas'];

export type Json = null | boolean | number | string | Json[] | { [name: string]: Json };
export type JsonObject = { [name: string]: Json };

// --- sessions ------------------------------------------------------------------------------------

export type Session = Schemas['Session'];
export type SessionWithParts = Schemas['SessionWithParts'];
export type SessionPatch = Schemas['SessionPatch'];
export type CreateSession = Schemas['CreateSession'];
export type Tokens = Schemas['Tokens'];
export type Validity = Schemas['Validity'];
export type NewMessage = Schemas['NewMessage'];
export type Message = Schemas['Message'];
export type Appended = Schemas['Appended'];
export type MessagePage = Schemas['MessagePage'];
export type Step = Schemas['Step'];
export type Part = Schemas['Part'];

/** A bucket of a session's data. `version` counts its changes; it is what `baseVersion` and `ifMatch` name. */
export type Bucket<T extends JsonObject = JsonObject> = Omit<Schemas['DataBucket'], 'data'> & { data: T };

export interface SessionOptions {
  /** Address of the API, with its path prefix if it has one. */
  baseUrl: string;
  /**
   * Who calls. `cookie` (the default in a page): the browser's `__Host-tessera`, tokens are never seen.
   * `bearer` (the default where tokens are given): access token in memory, renewed with the refresh token.
   */
  credentials?: 'cookie' | 'bearer';
  tokens?: Pick<Tokens, 'accessToken' | 'refreshToken'>;
  /** Id of the session; `me`, the caller's own, until one is created or read. */
  sessionId?: string;
  /** Called with each new pair, so that an app can keep it. */
  onTokens?: (tokens: Tokens) => void;
  fetch?: typeof fetch;
}

/** `ifMatch`: refuse with 412 unless this is the version. */
export interface Condition {
  ifMatch?: number;
}

/** `ttlSeconds`: the bucket ends so long after this, if the session does not end before. */
export interface Kept extends Condition {
  ttlSeconds?: number;
}

export interface BucketClient {
  /** The bucket; null when there is none. */
  load<T extends JsonObject = JsonObject>(bucket: string): Promise<Bucket<T> | null>;
  /** Replace the whole of it. */
  save<T extends JsonObject>(bucket: string, data: T, options?: Kept): Promise<Bucket<T>>;
  /**
   * Merge patch (RFC 7396). With `baseVersion` a three-way merge against that version: fields changed on both sides
   * are a Problem 409 with `conflicts: [{pointer, base, yours, theirs}]`.
   */
  patch<T extends JsonObject = JsonObject>(
    bucket: string,
    patch: JsonObject,
    options?: Kept & { baseVersion?: number },
  ): Promise<Bucket<T>>;
  remove(bucket: string, options?: Condition): Promise<void>;
}

export interface ConversationClient {
  append(messages: NewMessage | NewMessage[]): Promise<Appended>;
  read(options?: { limit?: number; before?: number; after?: number }): Promise<MessagePage>;
  pop(): Promise<Message | null>;
  clear(): Promise<void>;
}

/** The session API. Every call rejects with a Problem, or with Unreachable when there was no answer. */
export interface SessionClient {
  /** Id of the session; `me` while it is not known. */
  readonly id: string;
  /** Speak of another session from now on: one that another tab has made; by default of the caller's own. */
  use(id?: string): void;
  create(body?: CreateSession): Promise<Session>;
  get(include?: Part[]): Promise<SessionWithParts>;
  patch(patch: SessionPatch, options?: Condition): Promise<Session>;
  /** `seconds` from now; by default the idle timeout. */
  extend(seconds?: number): Promise<Session>;
  validity(): Promise<Validity>;
  delete(options?: { purge?: boolean }): Promise<void>;
  advance(to: Step): Promise<Session>;
  /** Renew the tokens or the cookie; calls at the same time share one request. */
  refresh(): Promise<void>;
  /** A ticket for one WebSocket connection: 60 s, one use. */
  ticket(): Promise<string>;
  readonly data: BucketClient;
  readonly messages: ConversationClient;
  /** Any other call of the API. `path` starts with a slash; the answer's JSON, null without a body. */
  request<T>(method: string, path: string, options?: RequestOptions): Promise<T>;
}

export interface RequestOptions {
  body?: unknown;
  query?: Record<string, string | number | boolean | undefined>;
  headers?: Record<string, string>;
  /** Let the request outlive its page (fetch's keepalive), for a save while it unloads. */
  keepalive?: boolean;
}

// --- live connection -----------------------------------------------------------------------------

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

/** State that changes, as React's useSyncExternalStore wants it: a snapshot is the same object until it changes. */
export interface Store<T> {
  subscribe(listener: () => void): () => void;
  getSnapshot(): T;
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
