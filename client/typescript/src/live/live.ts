/** Live topics: what a page sees of tabs, connection and outbox. */

import type { Json, JsonObject } from '../json.ts';
import { Problem, Unreachable } from '../problems.ts';
import { store } from '../store.ts';
import { refusal, type Sent } from './frames.ts';
import { Leader } from './leader.ts';
import { bySending, type Outbox, openOutbox, type Unnumbered } from './outbox.ts';
import { DEFAULTS, EMPTY, environment, IDLE, ZERO } from './settings.ts';
import { Tabs, type ToLeader, type ToldStatus, type ToTabs } from './tabs.ts';
import { Topics } from './topics.ts';
import type {
  Environment,
  Live,
  LiveMessage,
  LiveOptions,
  Position,
  PublishOptions,
  QueuedMessage,
  SubscribeOptions,
  Subscription,
  Timing,
} from './types.ts';

interface Pending {
  message: QueuedMessage | null;
  promise: Promise<Position>;
  resolve: (position: Position) => void;
  reject: (error: Error) => void;
}

type Spoken = ToLeader extends infer Message ? (Message extends unknown ? Omit<Message, 'from'> : never) : never;

/** When a page comes back to life, or to the network. */
const WAKING = ['online', 'pageshow', 'visibilitychange'];

/** Topics over one socket for all tabs. It connects with the first use, or with `connect()`. */
export function createLive(options: LiveOptions): Live {
  return new LiveTopics(options);
}

class LiveTopics implements Live {
  readonly status = store(IDLE);
  readonly metrics = store(ZERO);
  readonly outbox: Live['outbox'];
  readonly #outbox = store(EMPTY);
  readonly #options: LiveOptions;
  readonly #timing: Timing;
  readonly #environment: Environment;
  readonly #tabs: Tabs;
  readonly #topics: Topics;
  readonly #pending = new Map<string, Pending>();
  #leader: Leader | null = null;
  #kept: Promise<Outbox> | null = null;
  #started = false;

  constructor(options: LiveOptions) {
    this.#options = options;
    this.#timing = { ...DEFAULTS, ...options.timing };
    this.#environment = environment(options.environment);
    this.#tabs = new Tabs(this.#name, options.share ?? true, this.#timing, this.#environment, {
      lead: () => this.#lead(),
      follow: () => this.#follow(),
      toLeader: (message) => this.#leader?.receive(message),
      toTabs: (message) => this.#receive(message),
    });
    const send = (frame: Sent) => this.#toLeader({ kind: 'frame', frame });
    this.#topics = new Topics(this.#tabs.id, send, this.#timing, this.#environment);
    const { subscribe, getSnapshot } = this.#outbox;
    this.outbox = { subscribe, getSnapshot, list: () => this.#list(), clear: () => this.#clear() };
  }

  subscribe<T extends Json>(
    topic: string,
    handler: (message: LiveMessage<T>) => void,
    options: SubscribeOptions = {},
  ): Subscription {
    this.#start();
    // What T is, is a promise of those who publish there; no client could check it.
    return this.#topics.subscribe(topic, handler as (message: LiveMessage) => void, options);
  }

  publish(topic: string, data: Json, options: PublishOptions = {}): Promise<Position> {
    const { messageId = this.#environment.id(), priority = 0 } = options;
    const known = this.#pending.get(messageId);
    if (known) return known.promise;
    const { state, problem } = this.status.getSnapshot();
    if (state === 'ended') return Promise.reject(problem ?? new Unreachable('closed'));
    const message = { topic, messageId, data, priority };
    const refused = refusal(message);
    if (refused) return Promise.reject(refused);
    this.#start();
    const pending = { message: null } as Pending;
    pending.promise = new Promise((resolve, reject) => Object.assign(pending, { resolve, reject }));
    this.#pending.set(messageId, pending);
    void this.#keep(message, pending);
    return pending.promise;
  }

  connect(): void {
    this.#start();
    this.#toLeader({ kind: 'wake' });
    this.#tabs.ask('check');
  }

  close(): void {
    this.#end(null);
  }

  get #name(): string {
    return `tessera/${this.#options.name ?? 'me'}`;
  }

  #toLeader(message: Spoken): void {
    this.#tabs.toLeader({ from: this.#tabs.id, ...message });
  }

  #open(): Promise<Outbox> {
    this.#kept ??= openOutbox(this.#name, this.#options.durable ?? 'indexedDB' in globalThis);
    return this.#kept;
  }

  #start(): void {
    if (this.#started) return;
    this.#started = true;
    for (const event of WAKING) this.#environment.events?.addEventListener(event, this.#wake);
    this.#tabs.start();
  }

  readonly #wake = ({ type }: Event) => {
    if (type !== 'online' && !this.#environment.visible()) return;
    this.connect();
    // It comes out of the back-forward cache, where it heard nothing.
    if (type === 'pageshow') this.#tabs.ask('hello');
  };

  #lead(): void {
    const { lastSync, durable } = this.#outbox.getSnapshot();
    this.#leader = new Leader(
      this.#tabs,
      this.#open(),
      { lastSync, durable },
      { ...this.metrics.getSnapshot() },
      this.#options,
      this.#timing,
      this.#environment,
    );
    void this.#leader.start();
  }

  #follow(): void {
    this.#leader?.stop();
    this.#leader = null;
    this.#topics.down();
    this.status.set({ leader: false });
    // The next leader has read the outbox already, and what it said meanwhile was not heard.
    this.#remind();
  }

  /** Whoever leads now is to send what this tab has published. */
  #remind(): void {
    for (const { message } of this.#pending.values()) if (message) this.#toLeader({ kind: 'message', message });
  }

  #receive(message: ToTabs): void {
    switch (message.kind) {
      case 'leading':
        this.#topics.down();
        this.#remind();
        break;
      case 'up':
        this.#topics.resume();
        break;
      case 'frame':
        this.#topics.receive(message.frame);
        break;
      case 'published':
        this.#settle(message.message)?.resolve(message.position);
        break;
      case 'refused':
        this.#settle(message.message)?.reject(new Problem(message.problem));
        break;
      case 'state':
        this.#outbox.set(message.outbox);
        this.metrics.set(message.metrics);
        this.#turn(message.status);
    }
  }

  #turn(status: ToldStatus): void {
    if (status.state !== 'open') this.#topics.down();
    // One that led before said last that it is not.
    else if (!this.#topics.up) this.#tabs.ask('hello');
    const problem = this.#same(status.problem);
    if (status.state === 'ended') this.#end(problem);
    else this.status.set({ ...status, problem, leader: this.#tabs.leading });
  }

  /** The problem that we know already, if it is the same one, so that nothing seems to have changed. */
  #same(body: JsonObject | null): Problem | null {
    const known = this.status.getSnapshot().problem;
    if (!body) return null;
    return known && JSON.stringify(known.body) === JSON.stringify(body) ? known : new Problem(body);
  }

  async #keep(unnumbered: Unnumbered, pending: Pending): Promise<void> {
    try {
      const outbox = await this.#open();
      const message = { ...unnumbered, seq: await outbox.add(unnumbered) };
      pending.message = message;
      this.#toLeader({ kind: 'message', message });
    } catch (failure) {
      this.#pending.delete(unnumbered.messageId);
      pending.reject(failure as Error);
    }
  }

  #settle(message: QueuedMessage): Pending | undefined {
    const pending = this.#pending.get(message.messageId);
    this.#pending.delete(message.messageId);
    // Where there is no database, each tab has its own outbox. Gone or not: the service knows it by its id.
    if (pending) void this.#open().then((outbox) => outbox.remove(message.seq).catch(() => undefined));
    return pending;
  }

  async #list(): Promise<QueuedMessage[]> {
    return (await (await this.#open()).all()).sort(bySending);
  }

  async #clear(): Promise<void> {
    const outbox = await this.#open();
    const messages = await outbox.all();
    this.#toLeader({ kind: 'clear' });
    await Promise.all(messages.map(({ seq }) => outbox.remove(seq)));
  }

  #end(problem: Problem | null): void {
    for (const event of WAKING) this.#environment.events?.removeEventListener(event, this.#wake);
    this.#topics.down();
    this.#leader?.stop();
    this.#leader = null;
    this.#tabs.close();
    for (const { reject } of this.#pending.values()) reject(problem ?? new Unreachable('closed'));
    this.#pending.clear();
    this.status.set({ state: 'ended', leader: false, problem });
  }
}
