/** Frames: what goes over the socket. What comes in is believed, and what goes out is kept, only after it was looked at. */

import type { Json, JsonObject } from '../json.ts';
import { Problem } from '../problems.ts';
import type { LiveMessage, Member, Position, QueuedMessage } from './types.ts';

export type Sent =
  | { type: 'subscribe'; id: string; topic: string; since?: Position; presence?: true }
  | { type: 'unsubscribe'; id: string; topic: string }
  | { type: 'publish'; id: string; topic: string; messageId: string; data: Json; priority?: number }
  | { type: 'ping' };

export interface SubscribedFrame extends Position {
  type: 'subscribed';
  id: string;
  topic: string;
  recovered: boolean;
  messages: LiveMessage[];
  retained?: LiveMessage;
  presence?: Member[];
}

export type Received =
  | SubscribedFrame
  | ({ type: 'message' } & LiveMessage)
  | ({ type: 'ack'; id: string } & Position)
  | { type: 'presence'; topic: string; joined: Member[]; left: Member[] }
  | { type: 'error'; id?: string; problem: JsonObject }
  | { type: 'rotate'; before: string }
  | { type: 'pong' | 'unsubscribed' };

type Fields = Record<string, unknown>;

const isObject = (value: unknown): value is Fields =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
const isText = (value: unknown): value is string => typeof value === 'string';
const isPosition = (value: Fields) => isText(value.epoch) && Number.isSafeInteger(value.offset);
const isMessage = (value: unknown) =>
  isObject(value) && Number.isSafeInteger(value.offset) && isText(value.messageId) && 'data' in value;
const isMember = (value: unknown) => isObject(value) && isText(value.member);
const areAll = (value: unknown, are: (each: unknown) => boolean) => Array.isArray(value) && value.every(are);

const GUARDS: Record<string, (frame: Fields) => boolean> = {
  // @ts-expect-error no type is one by inheritance
  __proto__: null,
  subscribed: (frame) =>
    isText(frame.id) &&
    isText(frame.topic) &&
    isPosition(frame) &&
    typeof frame.recovered === 'boolean' &&
    areAll(frame.messages, isMessage) &&
    areAll(frame.presence ?? [], isMember),
  message: (frame) => isText(frame.topic) && isPosition(frame) && isMessage(frame),
  ack: (frame) => isText(frame.id) && isPosition(frame),
  presence: (frame) => isText(frame.topic) && areAll(frame.joined, isMember) && areAll(frame.left, isMember),
  error: (frame) => isObject(frame.problem),
  rotate: (frame) => !Number.isNaN(Date.parse(String(frame.before))),
  pong: () => true,
  unsubscribed: () => true,
};

/** The frame, or null for anything that is none. */
export function read(text: unknown): Received | null {
  try {
    const frame: unknown = JSON.parse(text as string);
    if (!isObject(frame) || !GUARDS[frame.type as string]?.(frame)) return null;
    const { topic, epoch } = frame;
    if (frame.type === 'subscribed') {
      // What comes within it need not say again which topic and epoch it is of.
      frame.messages = (frame.messages as Fields[]).map((message) => ({ topic, epoch, ...message }));
      frame.retained = isMessage(frame.retained) ? { topic, epoch, ...(frame.retained as Fields) } : undefined;
    }
    return frame as unknown as Received;
  } catch {
    return null; // not JSON
  }
}

/** Bytes of JSON that the data of a message may have: a frame ends at 32 KB, and has more than data in it. */
const MAX_DATA = 28 * 1024;

/** What the service would say to a message that it could not take; null for one that it can. */
export function refusal({ topic, messageId, data, priority }: Omit<QueuedMessage, 'seq'>): Problem | null {
  const size = bytes(data);
  const isPriority = Number.isInteger(priority) && priority >= 0 && priority <= 10;
  if (topic && messageId && isPriority && size > 0 && size <= MAX_DATA) return null;
  const [slug, status] = size > MAX_DATA ? ['content-too-large', 413] : ['invalid', 422];
  const detail = `data is JSON of at most ${MAX_DATA} bytes, priority a number from 0 to 10`;
  return new Problem({ type: `/problems/${slug}`, title: 'Not sent', status, detail });
}

/** None: it is no JSON. */
function bytes(data: Json): number {
  try {
    return new TextEncoder().encode(JSON.stringify(data)).length;
  } catch {
    return 0; // it contains itself, or a BigInt
  }
}
