/** The connection: one link after the other, so that there is always one, or a time when the next is tried. */

import { Problem } from '../problems.ts';
import { backoff } from './backoff.ts';
import type { Received, Sent } from './frames.ts';
import { Link } from './link.ts';
import type { Environment, LiveStatus, Timing } from './types.ts';

export interface ConnectionEvents {
  /** A link is up: everything is to be resumed on it. */
  up(): void;
  frame(frame: Received): void;
  status(change: Partial<LiveStatus>): void;
  /** A failed try, a dead socket, a frame that is none. */
  error(): void;
}

interface Address {
  url: string;
  ticket: () => Promise<string>;
}

/** Tickets are refused with these when the session is over: trying again cannot help. */
const OVER = new Set([401, 403, 404]);

/** A link that replaces another gets so long to resume before the other goes (ms). */
const HANDOVER = 10_000;

export class Connection {
  #link: Link | null = null;
  #previous: Link | null = null;
  #opening: Link | 'ticket' | null = null;
  #failures = 0;
  #retry: ReturnType<typeof setTimeout> | undefined;
  #rotation: ReturnType<typeof setTimeout> | undefined;
  #handover: ReturnType<typeof setTimeout> | undefined;
  #ended = false;

  constructor(
    private readonly address: Address,
    private readonly timing: Timing,
    private readonly environment: Environment,
    private readonly events: ConnectionEvents,
  ) {}

  get open(): boolean {
    return this.#link !== null;
  }

  /** Now: whoever waits stops waiting, a link that is up is asked whether it lives. */
  wake(): void {
    if (this.#link) this.#link.probe();
    else void this.#open();
  }

  /** False when there is no link. */
  send(frame: Sent): boolean {
    this.#link?.send(frame);
    return this.#link !== null;
  }

  /** All that the link before had is resumed: it may go. */
  resumed(): void {
    clearTimeout(this.#handover);
    this.#previous?.detach();
    this.#previous = null;
  }

  /** The session is over. */
  #end(problem: Problem): void {
    this.stop();
    this.events.status({ state: 'ended', problem });
  }

  stop(): void {
    this.#ended = true;
    clearTimeout(this.#retry);
    clearTimeout(this.#rotation);
    this.resumed();
    if (this.#opening instanceof Link) this.#opening.detach();
    this.#link?.detach();
    this.#link = this.#opening = null;
  }

  async #open(): Promise<void> {
    if (this.#opening || this.#ended) return;
    clearTimeout(this.#retry);
    this.#opening = 'ticket';
    if (!this.#link) this.events.status({ state: 'connecting' });
    try {
      const ticket = await this.address.ticket();
      if (this.#ended) return;
      const socket = new this.environment.WebSocket(this.address.url, ['tessera.v1', `ticket.${ticket}`]);
      const link: Link = new Link(socket, this.timing, this.environment, {
        opened: () => this.#opened(link),
        frame: (frame) => this.#frame(frame, link),
        lost: () => this.#lost(link),
      });
      this.#opening = link;
    } catch (failure) {
      this.#opening = null;
      const problem = failure instanceof Problem ? failure : null;
      if (problem && OVER.has(problem.status)) this.#end(problem);
      else this.#failed(problem, problem?.retryAfter ?? 0);
    }
  }

  #opened(link: Link): void {
    this.resumed();
    this.#opening = null;
    this.#previous = this.#link;
    this.#link = link;
    this.#handover = setTimeout(() => this.resumed(), HANDOVER);
    this.#rotate(this.timing.rotateAfter * (1 - this.environment.random() / 10));
    this.events.up();
    this.events.status({ state: 'open', attempts: 0, problem: null });
  }

  #frame(frame: Received | null, link: Link): void {
    // Only a link that carries frames ends a series of failures; one that closes at once does not.
    this.#failures = 0;
    if (!frame) {
      this.events.error();
    } else if (frame.type === 'rotate') {
      // Not all at once, and with a minute to spare.
      const left = Date.parse(frame.before) - this.environment.now() - 60_000;
      this.#rotate((this.environment.random() * Math.max(0, left)) / 2);
    } else {
      const problem = frame.type === 'error' ? new Problem(frame.problem) : null;
      if (problem?.slug === 'session-ended') this.#end(problem);
      // The service could neither reach nor close it, and has forgotten it.
      else if (problem?.slug === 'connection-unknown') this.#lost(link);
      else this.events.frame(frame);
    }
  }

  #lost(link: Link): void {
    link.detach();
    if (link === this.#previous) {
      this.resumed();
    } else {
      if (link === this.#link) this.#link = null;
      if (link === this.#opening) this.#opening = null;
      this.#failed(null, 0);
    }
  }

  /** Try again later. While a link is up this is about its successor, and nobody needs to know. */
  #failed(problem: Problem | null, atLeast: number): void {
    this.events.error();
    clearTimeout(this.#retry);
    const { wait, paused } = backoff(++this.#failures, this.timing, this.environment.random);
    this.#retry = setTimeout(() => void this.#open(), Math.max(wait, atLeast * 1000));
    if (!this.#link) {
      clearTimeout(this.#rotation);
      this.events.status({ state: paused ? 'paused' : 'waiting', attempts: this.#failures, problem });
    }
  }

  #rotate(wait: number): void {
    clearTimeout(this.#rotation);
    this.#rotation = setTimeout(() => void this.#open(), wait);
  }
}
