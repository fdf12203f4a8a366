/**
 * Pages of a browser in a Node.js process that is told what to do: one line of JSON for each command on stdin, one for
 * each event on stdout. The Python tests put a failing network between it and the service.
 */

import 'fake-indexeddb/auto';
import { createInterface } from 'node:readline';
import { WebSocket } from 'ws';
import {
  createLive,
  type Json,
  type Live,
  type Position,
  Problem,
  type Subscription,
  type Timing,
} from '../../src/index.ts';

type Command = { page: string } & (
  | { do: 'open'; url: string; name: string; timing: Partial<Timing>; seed: number }
  | { do: 'subscribe'; topic: string; since?: Position; presence?: true }
  | { do: 'unsubscribe'; topic: string }
  | { do: 'publish'; topic: string; messageId: string; data: Json; priority?: number }
  | { do: 'ticket'; id: number; ticket: string }
  | { do: 'wake' | 'close' }
);

const pages = new Map<string, Page>();
let tickets = 0;

function tell(event: Record<string, unknown>): void {
  process.stdout.write(`${JSON.stringify(event)}\n`);
}

class Page {
  readonly #live: Live;
  readonly #subscriptions = new Map<string, Subscription>();
  readonly tickets = new Map<number, (ticket: string) => void>();

  constructor(
    private readonly page: string,
    { url, name, timing, seed }: Extract<Command, { do: 'open' }>,
  ) {
    this.#live = createLive({
      url,
      name,
      timing,
      ticket: () => this.#ticket(),
      durable: true,
      environment: { WebSocket, random: mulberry32(seed) },
    });
    this.#live.status.subscribe(() => tell({ on: 'status', page, ...this.#live.status.getSnapshot() }));
  }

  do(command: Command): void {
    switch (command.do) {
      case 'subscribe':
        this.#subscribe(command);
        break;
      case 'unsubscribe':
        this.#subscriptions.get(command.topic)?.unsubscribe();
        break;
      case 'publish':
        this.#publish(command);
        break;
      case 'wake':
        this.#live.connect();
        break;
      case 'close':
        void this.#close();
    }
  }

  #subscribe({ topic, since, presence }: Extract<Command, { do: 'subscribe' }>): void {
    const { page } = this;
    const subscription = this.#live.subscribe(topic, (message) => tell({ on: 'message', page, ...message }), {
      ...(since ? { since } : {}),
      ...(presence ? { presence } : {}),
      onSubscribed: (subscribed) => tell({ on: 'subscribed', page, ...subscribed }),
      onPresence: (members) => tell({ on: 'presence', page, topic, members }),
      onError: (problem) => tell({ on: 'refused', page, topic, problem: problem.body }),
    });
    this.#subscriptions.set(topic, subscription);
  }

  #publish({ topic, messageId, data, priority }: Extract<Command, { do: 'publish' }>): void {
    const { page } = this;
    this.#live.publish(topic, data, { messageId, ...(priority ? { priority } : {}) }).then(
      (position) => tell({ on: 'published', page, messageId, ...position }),
      // What the page leaves behind when it is closed is no refusal: it stays in the outbox.
      (failure: Error) =>
        failure instanceof Problem && tell({ on: 'refused', page, messageId, problem: failure.body }),
    );
  }

  /** A browser ends a page after what it was doing with its database. */
  async #close(): Promise<void> {
    await this.#live.outbox.list();
    tell({ on: 'closed', page: this.page });
    this.#live.close();
  }

  #ticket(): Promise<string> {
    const id = ++tickets;
    tell({ on: 'ticket', page: this.page, id });
    return new Promise((resolve) => this.tickets.set(id, resolve));
  }
}

/** A random number generator that a test can repeat. */
function mulberry32(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

createInterface({ input: process.stdin }).on('line', (line) => {
  const command = JSON.parse(line) as Command;
  if (command.do === 'open') {
    pages.set(command.page, new Page(command.page, command));
    return;
  }
  const page = pages.get(command.page);
  if (command.do !== 'ticket') return page?.do(command);
  page?.tickets.get(command.id)?.(command.ticket);
});

tell({ on: 'ready' });
