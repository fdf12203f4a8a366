/** A live connection whose other end is the test. */

import { Unreachable } from '../../src/index.ts';
import type { Json } from '../../src/json.ts';
import type {
  Live,
  LiveMessage,
  LiveMetrics,
  LiveStatus,
  OutboxState,
  Position,
  PublishOptions,
  QueuedMessage,
  SubscribeOptions,
} from '../../src/live/types.ts';

export class Watched<T extends object> {
  readonly #listeners = new Set<() => void>();
  #state: T;

  constructor(state: T) {
    this.#state = state;
  }

  subscribe = (listener: () => void) => {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  };

  getSnapshot = () => this.#state;

  set(change: Partial<T>): void {
    this.#state = { ...this.#state, ...change };
    for (const listener of this.#listeners) listener();
  }
}

interface Sent extends QueuedMessage {
  resolve(position: Position): void;
  reject(error: Error): void;
}

export class TestLive implements Live {
  readonly status = new Watched<LiveStatus>({ state: 'idle', leader: true, attempts: 0, problem: null });
  readonly metrics = new Watched<LiveMetrics>({
    connections: 0,
    reconnects: 0,
    messagesReceived: 0,
    messagesSent: 0,
    errors: 0,
    responseTime: null,
    meanResponseTime: null,
    queueSize: 0,
  });
  readonly outbox;
  readonly #outbox = new Watched<OutboxState>({ size: 0, syncing: false, lastSync: null, durable: true });
  readonly #handlers = new Map<string, Set<(message: LiveMessage) => void>>();
  readonly #queue: Sent[] = [];
  #offset = 0;
  readonly url: string;

  constructor(url = 'wss://one') {
    this.url = url;
    const { subscribe, getSnapshot } = this.#outbox;
    const clear = async () => {
      for (const sent of this.#queue.splice(0)) sent.reject(new Unreachable('cleared'));
      this.#outbox.set({ size: 0 });
    };
    this.outbox = { subscribe, getSnapshot, list: async () => [...this.#queue], clear };
  }

  get topics(): string[] {
    return [...this.#handlers].filter(([, all]) => all.size > 0).map(([topic]) => topic);
  }

  subscribe<T extends Json>(
    topic: string,
    handler: (message: LiveMessage<T>) => void,
    _options?: SubscribeOptions,
  ) {
    const all = this.#handlers.get(topic) ?? new Set();
    const heard = handler as (message: LiveMessage) => void;
    this.#handlers.set(topic, all.add(heard));
    return { topic, position: () => null, unsubscribe: () => void all.delete(heard) };
  }

  publish(topic: string, data: Json, { messageId = 'm', priority = 0 }: PublishOptions = {}): Promise<Position> {
    return new Promise((resolve, reject) => {
      this.#queue.push({ topic, data, messageId, priority, seq: this.#queue.length, resolve, reject });
      this.#outbox.set({ size: this.#queue.length });
    });
  }

  connect(): void {
    if (this.status.getSnapshot().state === 'idle') this.status.set({ state: 'connecting' });
  }

  close(): void {
    this.status.set({ state: 'ended' });
  }

  // --- the other end -----------------------------------------------------------------------------

  open(): void {
    const { connections } = this.metrics.getSnapshot();
    this.metrics.set({ connections: connections + 1 });
    this.status.set({ state: 'open', attempts: 0, problem: null });
  }

  lose(): void {
    this.status.set({ state: 'waiting', attempts: this.status.getSnapshot().attempts + 1 });
  }

  deliver(topic: string, data: Json, messageId = 'm'): void {
    this.#offset += 1;
    const message = {
      topic,
      epoch: 'e',
      offset: this.#offset,
      messageId,
      data,
      publishedAt: '2026-11-20T12:00:00.000Z',
    };
    for (const handler of this.#handlers.get(topic) ?? []) handler(message);
  }

  /** What waits, in the order of sending. */
  get queued(): readonly QueuedMessage[] {
    return this.#queue;
  }

  acknowledge(): void {
    for (const sent of this.#queue.splice(0)) sent.resolve({ epoch: 'e', offset: 1 });
    this.#outbox.set({ size: 0, lastSync: Date.parse('2026-11-20T12:00:00Z') });
  }

  refuse(error: Error): void {
    this.#queue.shift()?.reject(error);
  }
}
