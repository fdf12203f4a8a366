/** Several connections over several addresses: for pages that send more than one socket takes, or to survive one. */

import { createLive, Problem, Unreachable } from '../index.ts';
import type { Json } from '../json.ts';
import type { Live, LiveOptions, Position, PublishOptions } from '../live/types.ts';
import type { Store } from '../store.ts';
import { type Candidate, choose, type Strategy } from './choosing.ts';

export interface PoolOptions {
  /** wss:// addresses; connections are spread over them. */
  urls: string[];
  ticket: LiveOptions['ticket'];
  minConnections?: number;
  maxConnections?: number;
  /** All times in milliseconds. */
  connectionTimeout?: number;
  healthCheckInterval?: number;
  loadBalancingStrategy?: Strategy;
  /** Unacknowledged messages on every connection that make the pool open one more. Default 10. */
  busyAt?: number;
  /** Makes a connection; by default one of its own, without other tabs and without IndexedDB. */
  connect?: (url: string) => Live;
}

export interface PoolMetrics {
  totalConnections: number;
  healthyConnections: number;
  unhealthyConnections: number;
  pendingMessages: number;
  messagesSent: number;
  messagesReceived: number;
  errors: number;
  /** Mean ms from publish to ack over all connections; null before the first. */
  averageResponseTime: number | null;
  connectionsByUrl: Record<string, number>;
}

export const DEFAULTS = {
  minConnections: 2,
  maxConnections: 5,
  connectionTimeout: 10_000,
  healthCheckInterval: 30_000,
  loadBalancingStrategy: 'round-robin' as Strategy,
  busyAt: 10,
};

export const EMPTY: PoolMetrics = {
  totalConnections: 0,
  healthyConnections: 0,
  unhealthyConnections: 0,
  pendingMessages: 0,
  messagesSent: 0,
  messagesReceived: 0,
  errors: 0,
  averageResponseTime: null,
  connectionsByUrl: {},
};

interface Member extends Candidate {
  readonly url: string;
  readonly live: Live;
  /** All errors at the last health check. */
  seen: number;
  /** Nothing was sent since the last health check. */
  idle: boolean;
  stop: () => void;
}

interface Waiting {
  readonly topic: string;
  readonly data: Json;
  readonly options: Required<PublishOptions>;
  resolve(position: Position): void;
  reject(error: Error): void;
  /** The connections that hold it. */
  readonly on: Set<Member>;
}

/**
 * Messages have no order among connections. One that is unacknowledged when its connection goes is sent on another,
 * with the same messageId: where the addresses lead to one service it is published once.
 */
export class Pool implements Store<PoolMetrics> {
  readonly #options: Required<PoolOptions>;
  readonly #listeners = new Set<() => void>();
  readonly #waiting = new Set<Waiting>();
  #members: Member[] = [];
  #snapshot = EMPTY;
  #turn = 0;
  #timer: ReturnType<typeof setInterval> | undefined;

  constructor(options: PoolOptions) {
    const { ticket, connectionTimeout = DEFAULTS.connectionTimeout } = options;
    const timing = { connectTimeout: connectionTimeout };
    const connect = (url: string) => createLive({ url, ticket, timing, share: false, durable: false });
    this.#options = { ...DEFAULTS, connect, connectionTimeout, ...options };
    if (this.#options.urls.length === 0) throw new RangeError('a pool needs an address');
  }

  /** Open the least number of connections and look after them. */
  start(): void {
    this.#timer ??= setInterval(() => this.check(), this.#options.healthCheckInterval);
    while (this.#members.length < this.#options.minConnections) this.#open();
  }

  /** Close all of them; what was not acknowledged rejects with Unreachable. */
  close(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
    for (const member of [...this.#members]) this.#drop(member);
    for (const waiting of this.#waiting) waiting.reject(new Unreachable('the pool is closed'));
    this.#waiting.clear();
    this.#tell();
  }

  /** Send on one connection; resolves when a service has it. Without a healthy one it waits; urgent ones (10) go first. */
  send(topic: string, data: Json, options: PublishOptions = {}): Promise<Position> {
    return new Promise((resolve, reject) => {
      const { messageId = crypto.randomUUID(), priority = 0 } = options;
      const waiting = { topic, data, options: { messageId, priority }, resolve, reject, on: new Set<Member>() };
      this.#waiting.add(waiting);
      this.#flush();
    });
  }

  /** Send to every address, on its best connection; resolves with what became of it at each. */
  broadcast(topic: string, data: Json, options: PublishOptions = {}): Promise<PromiseSettledResult<Position>[]> {
    const { messageId = crypto.randomUUID(), priority = 0 } = options;
    const chosen = this.#options.urls.map((url) => choose(this.#at(url), 'health-based', 0) ?? this.#at(url)[0]);
    const members = chosen.filter((member) => member !== undefined);
    return Promise.allSettled(
      members.map((member) => this.#publish(member, topic, data, { messageId, priority })),
    );
  }

  get connectionCount(): number {
    return this.#members.length;
  }

  subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };

  getSnapshot = (): PoolMetrics => this.#snapshot;

  /** Replace what has ended, take back what nobody needs; runs by itself at each interval. */
  check(): void {
    for (const member of [...this.#members]) {
      const { errors } = member.live.metrics.getSnapshot();
      member.errors = errors - member.seen;
      member.seen = errors;
      const ended = member.live.status.getSnapshot().state === 'ended';
      const spare = member.idle && member.pending === 0 && this.#members.length > this.#options.minConnections;
      if (ended || spare) this.#drop(member);
      member.idle = true;
    }
    while (this.#members.length < this.#options.minConnections) this.#open();
    this.#flush();
  }

  // --- members -----------------------------------------------------------------------------------

  #at(url: string): Member[] {
    return this.#members.filter((member) => member.url === url);
  }

  #open(): void {
    const { urls, connect } = this.#options;
    const fewest = [...urls].sort((one, other) => this.#at(one).length - this.#at(other).length)[0] as string;
    const live = connect(fewest);
    const start = { healthy: false, pending: 0, sent: 0, responseTime: null, errors: 0, seen: 0, idle: true };
    const member: Member = { ...start, url: fewest, live, stop: () => undefined };
    const stops = [live.status, live.metrics].map((store) => store.subscribe(() => this.#changed(member)));
    member.stop = () => stops.forEach((stop) => void stop());
    this.#members.push(member);
    live.connect();
    this.#changed(member);
  }

  #drop(member: Member): void {
    member.stop();
    this.#members = this.#members.filter((other) => other !== member);
    for (const waiting of this.#waiting) waiting.on.delete(member);
    member.live.close();
  }

  #changed(member: Member): void {
    const was = member.healthy;
    member.healthy = member.live.status.getSnapshot().state === 'open';
    member.responseTime = member.live.metrics.getSnapshot().meanResponseTime;
    if (was && !member.healthy) for (const waiting of this.#waiting) waiting.on.delete(member);
    if (was !== member.healthy) this.#flush();
    else this.#tell();
  }

  // --- messages ----------------------------------------------------------------------------------

  #flush(): void {
    const free = [...this.#waiting].filter((waiting) => waiting.on.size === 0);
    for (const waiting of free.sort((one, other) => other.options.priority - one.options.priority)) {
      const member = choose([...this.#members], this.#options.loadBalancingStrategy, this.#turn);
      if (member === null) break;
      this.#turn += 1;
      waiting.on.add(member);
      this.#publish(member, waiting.topic, waiting.data, waiting.options).then(
        (position) => this.#settle(waiting, () => waiting.resolve(position)),
        (error: Error) => this.#refused(waiting, member, error),
      );
    }
    this.#grow();
    this.#tell();
  }

  #grow(): void {
    const { busyAt, maxConnections } = this.#options;
    const healthy = this.#members.filter((member) => member.healthy);
    const opening = healthy.length < this.#members.length;
    if (healthy.length === 0 || opening || this.#members.length >= maxConnections) return;
    if (healthy.every((member) => member.pending >= busyAt)) this.#open();
  }

  #publish(member: Member, topic: string, data: Json, options: Required<PublishOptions>): Promise<Position> {
    member.pending += 1;
    member.sent += 1;
    member.idle = false;
    return member.live.publish(topic, data, options).finally(() => {
      member.pending -= 1;
    });
  }

  /** A refusal is the service's word and ends it; a connection that went is another one's turn. */
  #refused(waiting: Waiting, member: Member, error: Error): void {
    waiting.on.delete(member);
    if (error instanceof Problem) this.#settle(waiting, () => waiting.reject(error));
    else if (this.#waiting.has(waiting)) this.#flush();
  }

  #settle(waiting: Waiting, act: () => void): void {
    this.#waiting.delete(waiting);
    act();
    this.#tell();
  }

  #tell(): void {
    const all = this.#members.map((member) => member.live.metrics.getSnapshot());
    const times = this.#members.map((member) => member.responseTime).filter((time) => time !== null);
    const healthy = this.#members.filter((member) => member.healthy).length;
    this.#snapshot = {
      totalConnections: this.#members.length,
      healthyConnections: healthy,
      unhealthyConnections: this.#members.length - healthy,
      pendingMessages: this.#waiting.size,
      messagesSent: sum(all.map((one) => one.messagesSent)),
      messagesReceived: sum(all.map((one) => one.messagesReceived)),
      errors: sum(all.map((one) => one.errors)),
      averageResponseTime: times.length === 0 ? null : sum(times) / times.length,
      connectionsByUrl: Object.fromEntries(this.#options.urls.map((url) => [url, this.#at(url).length])),
    };
    for (const listener of this.#listeners) listener();
  }
}

function sum(numbers: number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
