/**
 * Sends the outbox: each message until it is acknowledged, and the messages of a topic one after the other.
 *
 * One of a topic at a time, because the service may take two frames of a connection up at once: what is sent later
 * could be published earlier. A repeat is harmless, since the service knows the messageId.
 */

import type { Problem } from '../problems.ts';
import { jitter } from './backoff.ts';
import type { Sent } from './frames.ts';
import { bySending } from './outbox.ts';
import { isPassing } from './topics.ts';
import type { Environment, Position, QueuedMessage, Timing } from './types.ts';

export interface SenderEvents {
  /** False when there is no link. */
  send(frame: Sent): boolean;
  /** The server has it. */
  published(message: QueuedMessage, position: Position, milliseconds: number): void;
  /** It will never have it. */
  refused(message: QueuedMessage, problem: Problem): void;
  changed(): void;
}

interface Sending {
  message: QueuedMessage;
  since: number;
  tries: number;
  timer: ReturnType<typeof setTimeout> | undefined;
}

const URGENT = 10;

const idOf = (message: QueuedMessage) => `p.${message.seq}`;

export class Sender {
  #queue: QueuedMessage[] = [];
  /** What is on its way, or waits to be sent again; by topic. */
  #sending = new Map<string, Sending>();
  #gathering: ReturnType<typeof setTimeout> | undefined;
  #flushed = 0;
  #started = false;
  #up = false;

  constructor(
    private readonly timing: Timing,
    private readonly environment: Environment,
    private readonly events: SenderEvents,
  ) {}

  get size(): number {
    return this.#queue.length;
  }

  get syncing(): boolean {
    return this.#up && this.#sending.size > 0;
  }

  /** What was kept from before; nothing is sent until it is known, so that nothing newer overtakes it. */
  start(messages: QueuedMessage[]): void {
    this.#started = true;
    this.add(messages);
    this.flush();
  }

  /** Put messages into the queue, each once. */
  add(messages: QueuedMessage[]): void {
    const known = new Set(this.#queue.map((message) => message.messageId));
    const fresh = messages.filter((message) => !known.has(message.messageId));
    if (fresh.length === 0) return;
    this.#queue = [...this.#queue, ...fresh].sort(bySending);
    this.events.changed();
    const urgent = fresh.some((message) => message.priority >= URGENT);
    const { debounce, batch } = this.timing;
    const waited = this.environment.now() - this.#flushed;
    // The first goes at once; those that follow closely are gathered, so that the urgent among them can overtake.
    if (urgent || waited >= debounce || this.#queue.length >= batch) this.flush();
    else this.#gathering ??= setTimeout(() => this.flush(), debounce - waited);
  }

  /** Send what can be sent. */
  flush(): void {
    clearTimeout(this.#gathering);
    this.#gathering = undefined;
    this.#flushed = this.environment.now();
    if (!this.#up || !this.#started) return;
    for (const message of this.#queue) {
      if (this.#sending.size >= this.timing.batch) break;
      if (this.#sending.has(message.topic)) continue;
      const since = this.environment.now();
      const sending: Sending = { message, since, tries: 0, timer: undefined };
      this.#sending.set(message.topic, sending);
      this.#send(sending);
    }
    this.events.changed();
  }

  /** A link is up. What was on its way may have been lost with the one before: it is sent again. */
  up(): void {
    this.#up = true;
    this.#forget();
    this.flush();
  }

  down(): void {
    this.#up = false;
    this.#forget();
    this.events.changed();
  }

  acknowledged(id: string, position: Position): void {
    const sending = this.#find(id);
    if (!sending) return;
    this.#done(sending);
    this.events.published(sending.message, position, this.environment.now() - sending.since);
    this.flush();
  }

  failed(id: string, problem: Problem): void {
    const sending = this.#find(id);
    if (!sending) return;
    if (isPassing(problem)) {
      const wait = jitter(++sending.tries, this.timing, this.environment.random);
      this.#again(sending, (problem.retryAfter ?? 0) * 1000 + wait);
    } else {
      this.#done(sending);
      this.events.refused(sending.message, problem);
      this.flush();
    }
  }

  /** Empty the queue; returns what was in it. */
  clear(): QueuedMessage[] {
    const queue = this.#queue;
    this.#queue = [];
    this.#forget();
    this.events.changed();
    return queue;
  }

  #send(sending: Sending): void {
    const { topic, messageId, data, priority } = sending.message;
    const urgency = priority ? { priority } : {};
    const frame: Sent = { type: 'publish', id: idOf(sending.message), topic, messageId, data, ...urgency };
    if (this.events.send(frame)) this.#again(sending, this.timing.ackTimeout);
  }

  #again(sending: Sending, wait: number): void {
    clearTimeout(sending.timer);
    sending.timer = setTimeout(() => this.#send(sending), wait);
  }

  #find(id: string): Sending | undefined {
    return [...this.#sending.values()].find(({ message }) => idOf(message) === id);
  }

  #done({ message, timer }: Sending): void {
    clearTimeout(timer);
    this.#sending.delete(message.topic);
    this.#queue = this.#queue.filter((each) => each !== message);
  }

  #forget(): void {
    clearTimeout(this.#gathering);
    this.#gathering = undefined;
    for (const { timer } of this.#sending.values()) clearTimeout(timer);
    this.#sending.clear();
  }
}
