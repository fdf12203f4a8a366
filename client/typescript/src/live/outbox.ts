/** The outbox: messages that are not acknowledged yet, in IndexedDB, for all tabs and over reloads. */

import { type DBSchema, type IDBPDatabase, type IDBPObjectStore, openDB } from 'idb';
import type { QueuedMessage } from './types.ts';

export type Unnumbered = Omit<QueuedMessage, 'seq'>;

/** By priority, then in the order of their publication. */
export const bySending = (a: QueuedMessage, b: QueuedMessage) => b.priority - a.priority || a.seq - b.seq;

export interface Outbox {
  readonly durable: boolean;
  /** Keep a message; returns its place in the order of all tabs. The same messageId keeps its place. */
  add(message: Unnumbered): Promise<number>;
  all(): Promise<QueuedMessage[]>;
  remove(seq: number): Promise<void>;
}

interface Schema extends DBSchema {
  messages: { key: number; value: Unnumbered & { seq?: number }; indexes: { messageId: string } };
}

/** Not its shortcuts (`get`, `put`, …): the build leaves them out. */
type Database = Pick<IDBPDatabase<Schema>, 'transaction'>;
type Store = IDBPObjectStore<Schema, ['messages'], 'messages', 'readwrite'>;

class Durable implements Outbox {
  readonly durable = true;
  #opened: Promise<Database> | null = null;

  constructor(private readonly name: string) {}

  add(message: Unnumbered): Promise<number> {
    // In one transaction, so that a retry, or another tab, does not add it twice.
    return this.#use(
      async (store) => (await store.index('messageId').getKey(message.messageId)) ?? store.add(message),
    );
  }

  all(): Promise<QueuedMessage[]> {
    return this.#use((store) => store.getAll() as Promise<QueuedMessage[]>);
  }

  remove(seq: number): Promise<void> {
    return this.#use((store) => store.delete(seq));
  }

  #open(): Promise<Database> {
    const forget = () => {
      this.#opened = null;
    };
    this.#opened ??= openDB<Schema>(this.name, 1, {
      upgrade(database) {
        const messages = database.createObjectStore('messages', { keyPath: 'seq', autoIncrement: true });
        messages.createIndex('messageId', 'messageId', { unique: true });
      },
      // Another tab wants to delete or upgrade it: out of the way, and open it anew when it is needed.
      blocking: (_, __, event) => {
        (event.target as IDBDatabase).close();
        forget();
      },
      terminated: forget,
    });
    return this.#opened;
  }

  async #once<T>(work: (store: Store) => Promise<T>): Promise<T> {
    const { store, done } = (await this.#open()).transaction('messages', 'readwrite');
    const [result] = await Promise.all([work(store), done]);
    return result;
  }

  /** Browsers kill the connection of a page in the background, and say so only when it is used: once more, then. */
  async #use<T>(work: (store: Store) => Promise<T>): Promise<T> {
    try {
      return await this.#once(work);
    } catch {
      this.#opened = null;
      return this.#once(work);
    }
  }
}

class Memory implements Outbox {
  readonly durable = false;
  #messages = new Map<number, QueuedMessage>();
  #last = 0;

  async add(message: Unnumbered): Promise<number> {
    // By the clock, so that messages of several tabs have an order; after all that a database has numbered.
    this.#last = Math.max(this.#last + 1, Date.now() * 1000);
    this.#messages.set(this.#last, { ...message, seq: this.#last });
    return this.#last;
  }

  async all(): Promise<QueuedMessage[]> {
    return [...this.#messages.values()];
  }

  async remove(seq: number): Promise<void> {
    this.#messages.delete(seq);
  }
}

/** The outbox of that name; in memory where there is no IndexedDB, or where it refuses. */
export async function openOutbox(name: string, wanted: boolean): Promise<Outbox> {
  if (!wanted) return new Memory();
  const outbox = new Durable(name);
  try {
    await outbox.all();
    return outbox;
  } catch {
    return new Memory(); // private windows of some browsers have a database that does not open
  }
}
