/** What the session API takes and gives. Nothing here runs. */

import type { JsonObject } from '../json.ts';
import type { components } from '../openapi.ts';

type Schemas = components['schemas'];

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
