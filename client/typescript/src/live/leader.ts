/** What the leading tab does for all: it has the socket, sends the outbox, and passes frames on. */

import type { JsonObject } from '../json.ts';
import { Problem } from '../problems.ts';
import { Connection } from './connection.ts';
import type { Received, Sent } from './frames.ts';
import type { Outbox } from './outbox.ts';
import { Sender } from './sender.ts';
import { IDLE } from './settings.ts';
import type { Tabs, ToLeader } from './tabs.ts';
import type {
  Environment,
  LiveMetrics,
  LiveOptions,
  LiveStatus,
  OutboxState,
  QueuedMessage,
  Timing,
} from './types.ts';

/** State of the outbox and counters are told at most so often (ms); the status at once. */
const TELL = 200;

export class Leader {
  #status: LiveStatus = { ...IDLE, leader: true };
  /** Which tabs want a topic, and whether with presence. */
  #wanted = new Map<string, Map<string, boolean>>();
  #known = new Set<string>();
  /** Topics that the new link has not resumed yet. */
  #outstanding = new Set<string>();
  #connection: Connection;
  #sender: Sender;
  #acks = 0;
  #stopped = false;
  #telling: ReturnType<typeof setTimeout> | undefined;

  constructor(
    private readonly tabs: Tabs,
    private readonly outbox: Promise<Outbox>,
    private readonly kept: Pick<OutboxState, 'lastSync' | 'durable'>,
    private readonly metrics: LiveMetrics,
    options: Pick<LiveOptions, 'url' | 'ticket'>,
    timing: Timing,
    private readonly environment: Environment,
  ) {
    this.#connection = new Connection(options, timing, environment, {
      up: () => this.#up(),
      frame: (frame) => this.#frame(frame),
      status: (change) => this.#changed(change),
      error: () => {
        this.metrics.errors++;
        this.#later();
      },
    });
    this.#sender = new Sender(timing, environment, {
      send: (frame) => this.#send(frame),
      published: (message, position, milliseconds) => {
        this.#measure(milliseconds);
        this.#remove(message);
        if (this.#sender.size === 0) kept.lastSync = environment.now();
        this.tabs.toTabs({ kind: 'published', message, position });
      },
      refused: (message, problem) => {
        this.metrics.errors++;
        this.#remove(message);
        this.tabs.toTabs({ kind: 'refused', message, problem: problem.body });
      },
      changed: () => this.#later(),
    });
  }

  /** Messages flow at once; what is sent waits for the outbox, since what it holds is older. */
  async start(): Promise<void> {
    this.tabs.toTabs({ kind: 'leading' });
    this.#connection.wake();
    const outbox = await this.outbox;
    this.kept.durable = outbox.durable;
    this.#sender.start(await outbox.all().catch(() => []));
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#telling);
    this.#sender.down();
    this.#connection.stop();
  }

  receive(message: ToLeader): void {
    this.#meet(message.from);
    switch (message.kind) {
      case 'hello':
      case 'check':
        if (message.kind === 'hello' && this.#connection.open) this.tabs.toTabs({ to: message.from, kind: 'up' });
        this.tabs.toTabs({ to: message.from, ...this.#state() });
        break;
      case 'wake':
        this.#connection.wake();
        this.#sender.flush();
        break;
      case 'message':
        this.#sender.add([message.message]);
        break;
      case 'clear':
        this.#clear();
        break;
      case 'frame':
        this.#forward(message.from, message.frame);
    }
  }

  #up(): void {
    this.metrics.connections++;
    if (this.metrics.connections > 1) this.metrics.reconnects++;
    this.#outstanding = new Set(this.#wanted.keys());
    this.tabs.toTabs({ kind: 'up' });
    this.#sender.up();
    if (this.#outstanding.size === 0) this.#connection.resumed();
  }

  #frame(frame: Received): void {
    if (frame.type === 'ack') this.#sender.acknowledged(frame.id, { epoch: frame.epoch, offset: frame.offset });
    else if (frame.type === 'error') this.#problem(frame.problem, frame.id);
    if (frame.type === 'message') this.metrics.messagesReceived++;
    if (frame.type === 'subscribed') {
      this.metrics.messagesReceived += frame.messages.length;
      if (this.#outstanding.delete(frame.topic) && this.#outstanding.size === 0) this.#connection.resumed();
    }
    if (frame.type !== 'ack' && frame.type !== 'pong') this.tabs.toTabs({ kind: 'frame', frame });
    this.#later();
  }

  /** Two tabs may want one topic: the connection has it as long as one of them does, with what any of them asks. */
  #forward(from: string, frame: Sent): void {
    if (frame.type === 'subscribe') {
      const tabs = this.#wanted.get(frame.topic) ?? new Map<string, boolean>();
      this.#wanted.set(frame.topic, tabs.set(from, frame.presence === true));
      this.#send([...tabs.values()].includes(true) ? { ...frame, presence: true } : frame);
    } else if (frame.type === 'unsubscribe' && this.#release(from, frame.topic)) {
      this.#send(frame);
    }
  }

  #release(tab: string, topic: string): boolean {
    const tabs = this.#wanted.get(topic);
    return tabs?.delete(tab) === true && tabs.size === 0 && this.#wanted.delete(topic);
  }

  #meet(tab: string): void {
    if (tab === this.tabs.id || this.#known.has(tab)) return;
    this.#known.add(tab);
    this.tabs.watch(tab, () => {
      this.#known.delete(tab);
      for (const topic of [...this.#wanted.keys()]) {
        if (this.#release(tab, topic)) this.#send({ type: 'unsubscribe', id: `${tab}.0`, topic });
      }
    });
  }

  #send(frame: Sent): boolean {
    if (frame.type === 'publish') this.metrics.messagesSent++;
    return this.#connection.send(frame);
  }

  #problem(body: JsonObject, id: string | undefined): void {
    const problem = new Problem(body);
    if (id === undefined) this.#changed({ problem });
    else this.#sender.failed(id, problem);
    this.metrics.errors++;
  }

  #clear(): void {
    for (const message of this.#sender.clear()) {
      this.#remove(message);
      this.tabs.toTabs({
        kind: 'refused',
        message,
        problem: { title: 'Cleared', detail: 'the outbox was cleared' },
      });
    }
  }

  /** If it cannot be removed it is sent once more after the next reload, and the service knows it by its id. */
  #remove({ seq }: QueuedMessage): void {
    this.outbox.then((outbox) => outbox.remove(seq)).catch(() => this.metrics.errors++);
  }

  #measure(milliseconds: number): void {
    const { metrics } = this;
    metrics.responseTime = milliseconds;
    metrics.meanResponseTime = ((metrics.meanResponseTime ?? 0) * this.#acks + milliseconds) / ++this.#acks;
  }

  #changed(change: Partial<LiveStatus>): void {
    this.#status = { ...this.#status, ...change };
    if (!this.#connection.open) this.#sender.down();
    this.#tell();
  }

  #later(): void {
    if (this.#stopped) return;
    this.#telling ??= setTimeout(() => this.#tell(), TELL);
  }

  #tell(): void {
    clearTimeout(this.#telling);
    this.#telling = undefined;
    this.tabs.toTabs(this.#state());
  }

  #state() {
    const { size, syncing } = this.#sender;
    const outbox: OutboxState = { size, syncing, ...this.kept };
    const metrics = { ...this.metrics, queueSize: size };
    const status = { ...this.#status, problem: this.#status.problem?.body ?? null };
    return { kind: 'state' as const, status, outbox, metrics, visible: this.environment.visible() };
  }
}
