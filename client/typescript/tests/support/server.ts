/**
 * A server with behaviour: topics with epochs, dense offsets and a history, one-use tickets, acks, repeats known by
 * their messageId. The network between can be slow, disorderly, cut, or a black hole that says nothing.
 */

import type { Json } from '../../src/json.ts';
import { read, type Sent } from '../../src/live/frames.ts';
import type { LiveMessage, Socket } from '../../src/live/types.ts';

/** A frame to a client, as the wire has it. */
export interface Frame {
  type: string;
  [field: string]: unknown;
}

/** What a socket needs of the tab that opened it. */
interface Tab {
  alive: boolean;
  /** Done now, or when it goes on. */
  do(act: () => void): void;
}

const PAGE: Tab = { alive: true, do: (act) => act() };

interface Topic {
  epoch: string;
  history: LiveMessage[];
  /** Of the last message; the history may begin later. */
  offset: number;
  ids: Map<string, number>;
}

export class FakeServer {
  readonly sockets = new Set<FakeSocket>();
  /** How many were ever opened. */
  opened = 0;
  /** Frames that arrived, in order. */
  readonly received: Sent[] = [];
  readonly published: LiveMessage[] = [];
  /** New sockets are refused. */
  down = false;
  /** Messages a topic keeps. */
  window = 1_000;
  /** Milliseconds that a frame takes; one that differs from frame to frame puts them out of order. */
  latency: () => number = () => 5;
  /** Frames to clients wait, like in a page that is frozen. */
  held: (() => void)[] | null = null;
  /** Acks and answers that are lost: called for each frame to a client. */
  loses: (frame: Frame) => boolean = () => false;
  /** Refuse a publish with this problem. */
  refuse: ((frame: Sent & { type: 'publish' }) => Record<string, Json> | null) | undefined;
  #topics = new Map<string, Topic>();
  #tickets = new Set<string>();
  #epochs = 0;

  readonly ticket = async (): Promise<string> => {
    const ticket = `t${this.#tickets.size}-${Math.random()}`;
    this.#tickets.add(ticket);
    return ticket;
  };

  admits(ticket: string): boolean {
    return !this.down && this.#tickets.delete(ticket);
  }

  topic(name: string): Topic {
    let topic = this.#topics.get(name);
    if (!topic) {
      topic = { epoch: `e${++this.#epochs}`, history: [], offset: 0, ids: new Map() };
      this.#topics.set(name, topic);
    }
    return topic;
  }

  /** The history is lost: a new epoch begins. */
  forget(name: string): void {
    this.#topics.delete(name);
  }

  publish(name: string, data: Json, messageId = `s${Math.random()}`): number {
    const topic = this.topic(name);
    const known = topic.ids.get(messageId);
    if (known !== undefined) return known;
    const { epoch } = topic;
    const publishedAt = '2026-11-20T10:00:00.000Z';
    const message: LiveMessage = { topic: name, epoch, offset: ++topic.offset, messageId, data, publishedAt };
    topic.ids.set(messageId, message.offset);
    topic.history = [...topic.history, message].slice(-this.window);
    this.published.push(message);
    for (const socket of this.sockets) {
      if (socket.topics.has(name)) socket.deliver({ type: 'message', ...message });
    }
    return message.offset;
  }

  /** Every socket is told that it is closed. */
  cut(): void {
    for (const socket of [...this.sockets]) socket.drop();
  }

  /** What is connected now hears nothing any more, and nobody is told. */
  blackhole(): void {
    for (const socket of this.sockets) socket.dead = true;
    this.sockets.clear();
  }

  /** What was held is read now. */
  release(): void {
    const held = this.held ?? [];
    this.held = null;
    for (const hand of held) hand();
  }

  tell(frame: Frame): void {
    for (const socket of this.sockets) socket.deliver(frame);
  }

  take(socket: FakeSocket, text: string): void {
    const frame = JSON.parse(text) as Sent;
    this.received.push(frame);
    switch (frame.type) {
      case 'ping':
        socket.deliver({ type: 'pong' });
        break;
      case 'subscribe':
        socket.topics.add(frame.topic);
        socket.deliver({ type: 'subscribed', id: frame.id, topic: frame.topic, ...this.#since(frame) });
        break;
      case 'unsubscribe':
        socket.topics.delete(frame.topic);
        socket.deliver({ type: 'unsubscribed', id: frame.id, topic: frame.topic });
        break;
      case 'publish': {
        const problem = this.refuse?.(frame);
        if (problem) {
          socket.deliver({ type: 'error', id: frame.id, problem });
        } else {
          const offset = this.publish(frame.topic, frame.data, frame.messageId);
          socket.deliver({ type: 'ack', id: frame.id, epoch: this.topic(frame.topic).epoch, offset });
        }
      }
    }
  }

  #since({ topic: name, since }: Sent & { type: 'subscribe' }) {
    const { epoch, offset, history } = this.topic(name);
    const first = history[0]?.offset ?? offset + 1;
    const recovered =
      since !== undefined && since.epoch === epoch && since.offset <= offset && since.offset + 1 >= first;
    const messages = recovered ? history.filter((message) => message.offset > since.offset) : [];
    return { epoch, offset, recovered, messages };
  }

  /** The class to connect with; sockets know the tab that opened them. */
  WebSocket(tab: Tab = PAGE): new (url: string, protocols: string[]) => Socket {
    const server = this;
    return class extends FakeSocket {
      constructor(_: string, protocols: string[]) {
        super(server, protocols, tab);
      }
    };
  }
}

export class FakeSocket implements Socket {
  onopen: Socket['onopen'] = null;
  onmessage: Socket['onmessage'] = null;
  onclose: Socket['onclose'] = null;
  onerror: Socket['onerror'] = null;
  readonly topics = new Set<string>();
  /** Nothing passes any more, and nobody knows. */
  dead = false;
  #open = false;
  #closed = false;

  constructor(
    private readonly server: FakeServer,
    protocols: string[],
    private readonly tab: Tab,
  ) {
    setTimeout(() => {
      if (!tab.alive || this.dead || this.#closed) return;
      const [protocol, ticket] = protocols;
      if (protocol !== 'tessera.v1' || !server.admits(String(ticket).replace('ticket.', ''))) {
        this.onclose?.({} as never);
        return;
      }
      this.#open = true;
      server.opened++;
      server.sockets.add(this);
      this.onopen?.({} as never);
    }, server.latency());
  }

  send(text: string): void {
    if (!this.#open) throw new Error('not open');
    this.tab.do(() => {
      setTimeout(() => {
        if (!this.dead && this.server.sockets.has(this)) this.server.take(this, text);
      }, this.server.latency());
    });
  }

  close(): void {
    this.#closed = true;
    this.#open = false;
    this.server.sockets.delete(this);
  }

  deliver(frame: Frame): void {
    if (this.server.loses(frame)) return;
    const text = JSON.stringify(frame);
    if (!read(text)) throw new Error(`not a frame: ${text}`);
    const hand = () => {
      if (this.dead) return;
      this.tab.do(() => {
        if (this.#open) this.onmessage?.({ data: text } as never);
      });
    };
    setTimeout(() => {
      if (this.server.held) this.server.held.push(hand);
      else hand();
    }, this.server.latency());
  }

  drop(): void {
    this.server.sockets.delete(this);
    this.tab.do(() => this.onclose?.({} as never));
  }
}
