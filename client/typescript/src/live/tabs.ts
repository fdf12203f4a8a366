/**
 * Tabs: one of them leads and has the socket, the others speak through it.
 *
 * A Web Lock elects the leader: the browser gives it to the next tab the moment the one that has it dies. One that
 * lives but does not answer (frozen, or busy for seconds) is robbed of it by a follower that somebody looks at.
 */

import type { JsonObject } from '../json.ts';
import type { Received, Sent } from './frames.ts';
import type {
  Environment,
  LiveMetrics,
  LiveStatus,
  OutboxState,
  Position,
  QueuedMessage,
  Timing,
} from './types.ts';

export type ToLeader = { from: string } & (
  | { kind: 'hello' | 'check' | 'wake' | 'clear' }
  | { kind: 'frame'; frame: Sent }
  | { kind: 'message'; message: QueuedMessage }
);

/** A problem goes from tab to tab as its body: a class would not survive the way. */
export type ToldStatus = Omit<LiveStatus, 'problem'> & { problem: JsonObject | null };

/** `to`: one tab, or all of them. */
export type ToTabs = { to?: string } & (
  | { kind: 'leading' | 'up' }
  | { kind: 'frame'; frame: Received }
  | { kind: 'published'; message: QueuedMessage; position: Position }
  | { kind: 'refused'; message: QueuedMessage; problem: JsonObject }
  | { kind: 'state'; status: ToldStatus; outbox: OutboxState; metrics: LiveMetrics; visible: boolean }
);

export interface TabsEvents {
  lead(): void;
  follow(): void;
  toLeader(message: ToLeader): void;
  toTabs(message: ToTabs): void;
}

type Envelope = { up: ToLeader } | { down: ToTabs };

export class Tabs {
  readonly id: string;
  leading = false;
  #channel: BroadcastChannel | null = null;
  #leave = new AbortController();
  #left = new Promise<void>((resolve) => {
    this.#leave.signal.addEventListener('abort', () => resolve());
  });
  #waiting = new AbortController();
  #taking = false;
  /** Whether the leader has said anything since it was asked. */
  #heard = false;
  #check: ReturnType<typeof setTimeout> | undefined;

  constructor(
    private readonly name: string,
    private readonly share: boolean,
    private readonly timing: Timing,
    private readonly environment: Environment,
    private readonly events: TabsEvents,
  ) {
    this.id = environment.id();
  }

  start(): void {
    const { locks, BroadcastChannel } = this.environment;
    if (!this.share || !locks || !BroadcastChannel) {
      this.#lead();
      return;
    }
    this.#channel = new BroadcastChannel(this.name);
    this.#channel.onmessage = ({ data }: MessageEvent<Envelope>) => this.#receive(data);
    // Whoever gets this lock knows that we are gone; so it has to be ours before anybody hears of us.
    void this.#hold(`${this.name}/${this.id}`, {}, () => {
      this.#elect({ signal: this.#waiting.signal });
      this.ask('hello');
    });
  }

  /**
   * Ask the leader where things stand; if there is none, or it is deaf, its place is taken. `hello` says besides that
   * we may have missed something, or are new: everything is resumed.
   */
  ask(kind: 'hello' | 'check'): void {
    if (this.leading || !this.#channel) return;
    this.#heard = false;
    this.toLeader({ from: this.id, kind });
    this.#expect(false);
  }

  toLeader(message: ToLeader): void {
    if (this.leading) this.events.toLeader(message);
    else this.#channel?.postMessage({ up: message } satisfies Envelope);
  }

  toTabs(message: ToTabs): void {
    if (message.to !== this.id) this.#channel?.postMessage({ down: message } satisfies Envelope);
    if (message.to === undefined || message.to === this.id) this.events.toTabs(message);
  }

  /** Call back when that tab is gone. */
  watch(tab: string, gone: () => void): void {
    const { locks } = this.environment;
    locks?.request(`${this.name}/${tab}`, { signal: this.#leave.signal }, gone).catch(ignore);
  }

  /** Take the lead away from a leader that does not answer, or cannot connect while nobody looks at it. */
  takeOver(): void {
    if (this.leading || this.#taking || !this.environment.visible()) return;
    this.#taking = true;
    this.#waiting.abort();
    this.#elect({ steal: true });
  }

  close(): void {
    clearTimeout(this.#check);
    this.#leave.abort();
    this.#waiting.abort();
    this.#channel?.close();
    this.#channel = null;
    this.leading = false;
  }

  #elect(options: LockOptions): void {
    let led = false;
    const lead = () => {
      led = true;
      this.#lead();
    };
    void this.#hold(this.name, options, lead).then(() => {
      // Robbed: somebody else leads now, and we wait for our next turn.
      if (!led || this.#leave.signal.aborted) return;
      this.leading = false;
      this.events.follow();
      this.#waiting = new AbortController();
      this.#elect({ signal: this.#waiting.signal });
      this.ask('hello');
    });
  }

  /** Hold a lock until we leave; resolves when it is gone. */
  async #hold(name: string, options: LockOptions, held: () => void): Promise<void> {
    const keep = () => {
      if (!this.#leave.signal.aborted) held();
      return this.#left;
    };
    await this.environment.locks?.request(name, options, keep).catch(ignore);
  }

  #lead(): void {
    clearTimeout(this.#check);
    this.#taking = false;
    this.leading = true;
    this.events.lead();
  }

  #receive(envelope: Envelope): void {
    if ('up' in envelope) {
      if (this.leading) this.events.toLeader(envelope.up);
      return;
    }
    const { down } = envelope;
    if (down.to !== undefined && down.to !== this.id) return;
    const isEnd = down.kind === 'state' && down.status.state === 'ended';
    // A leader listens to no other, but that the session is over is so for all.
    if (this.leading && !isEnd) return;
    this.#heard = true;
    this.events.toTabs(down);
    const isIdle = down.kind === 'state' && !down.visible && ['waiting', 'paused'].includes(down.status.state);
    // Timers of a tab in the background are late by up to a minute, and so would be its next try.
    if (isIdle) this.takeOver();
  }

  /** One question after the other, as long as somebody looks at this tab; when it is looked at again it asks anew. */
  #expect(late: boolean): void {
    const { now, visible } = this.environment;
    const { leaderTimeout } = this.timing;
    const asked = now();
    clearTimeout(this.#check);
    this.#check = setTimeout(() => {
      if (!visible()) return;
      if (this.#heard) this.ask('check');
      // It was we who slept, or were busy: the answer may lie unread.
      else if (now() - asked > leaderTimeout * 1.5 && !late) this.#expect(true);
      else this.takeOver();
    }, leaderTimeout);
  }
}

/** A lock was refused because we leave, or taken by somebody: both are seen where it was held. */
function ignore(): void {}
