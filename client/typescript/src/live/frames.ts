/** Frames: what goes over the socket. What comes in is believed only after it was looked at. */

import type { Json, JsonObject, LiveMessage, Member, Position } from '../types.ts';

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
  | { type: 'presence'; topic: string; joined: Member[]; left: (Member | string)[] }
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

const GUARDS: Record<string, (frame: Fields) => boolean> = {
  subscribed: (frame) =>
    isText(frame.id) &&
    isText(frame.topic) &&
    isPosition(frame) &&
    typeof frame.recovered === 'boolean' &&
    Array.isArray(frame.messages) &&
    frame.messages.every(isMessage),
  message: (frame) => isText(frame.topic) && isPosition(frame) && isMessage(frame),
  ack: (frame) => isText(frame.id) && isPosition(frame),
  presence: (frame) => isText(frame.topic),
  error: (frame) => isObject(frame.problem),
  rotate: (frame) => !Number.isNaN(Date.parse(String(frame.before))),
  pong: () => true,
  unsubscribed: () => true,
};

/** The frame, or null for anything that is none. */
export function read(text: unknown): Received | null {
  try {
    const frame: unknown = JSON.parse(String(text));
    if (!isObject(frame) || !GUARDS[String(frame.type)]?.(frame)) return null;
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
