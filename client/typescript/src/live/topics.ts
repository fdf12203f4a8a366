/** The subscriptions of one tab: what it wants to hear, and up to where it has heard it. */

import { Problem } from '../problems.ts';
import { jitter } from './backoff.ts';
import type { Received, Sent, SubscribedFrame } from './frames.ts';
import { Order } from './order.ts';
import type {
  Environment,
  LiveMessage,
  Member,
  Position,
  SubscribeOptions,
  Subscription,
  Timing,
} from './types.ts';

interface Listener {
  handler: (message: LiveMessage) => void;
  options: SubscribeOptions;
}

/** What subscriptions without a `since` of their own share. */
interface Feed {
  topic: string;
  order: Order;
  listeners: Set<Listener>;
  /** Id of the subscribe whose answer counts; older answers are of another time. */
  asked: string;
  answered: boolean;
  members: Map<string, Member> | null;
  last: LiveMessage | null;
  own: boolean;
  timer: ReturnType<typeof setTimeout> | undefined;
}

/** Topics whose last message is kept for newcomers. */
const RETAINED = /^(agent|system):/;

/** A refusal with these is not about us: ask again. */
export const isPassing = (problem: Problem) => problem.status === 429 || problem.status >= 500;

function stop(feed: Feed): void {
  clearTimeout(feed.timer);
  feed.timer = undefined;
}

/** A fault in a page's own handler is the page's: it is reported, and keeps nobody else from the message. */
function safely(call: () => void): void {
  try {
    call();
  } catch (error) {
    queueMicrotask(() => {
      throw error;
    });
  }
}

export class Topics {
  #feeds = new Set<Feed>();
  #count = 0;
  /** Whether there is a link to ask over. */
  up = false;

  constructor(
    private readonly tab: string,
    private readonly send: (frame: Sent) => void,
    private readonly timing: Timing,
    private readonly environment: Environment,
  ) {}

  subscribe(topic: string, handler: Listener['handler'], options: SubscribeOptions): Subscription {
    const listener: Listener = { handler, options };
    const own = options.since !== undefined;
    let feed = own ? undefined : this.#of(topic).find((each) => !each.own);
    if (feed) {
      this.#welcome(feed, listener);
    } else {
      const order = new Order(options.since);
      const members = options.presence ? new Map<string, Member>() : null;
      const start = { asked: '', answered: false, last: null, timer: undefined, listeners: new Set<Listener>() };
      feed = { topic, order, members, own, ...start };
      this.#feeds.add(feed);
      this.#ask(feed);
    }
    feed.listeners.add(listener);
    const found = feed;
    return {
      topic,
      position: () => found.order.at,
      unsubscribe: () => {
        if (found.listeners.delete(listener) && found.listeners.size === 0) this.#leave(found);
      },
    };
  }

  /** A link is up: resume everything on it. */
  resume(): void {
    this.up = true;
    for (const feed of this.#feeds) this.#ask(feed);
  }

  down(): void {
    this.up = false;
    for (const feed of this.#feeds) stop(feed);
  }

  receive(frame: Received): void {
    for (const feed of [...this.#feeds]) {
      if (frame.type === 'subscribed' && frame.id === feed.asked) this.#begin(feed, frame);
      else if (frame.type === 'message' && frame.topic === feed.topic) this.#message(feed, frame);
      else if (frame.type === 'presence' && frame.topic === feed.topic) this.#presence(feed, frame);
      else if (frame.type === 'error' && frame.id === feed.asked) this.#refused(feed, new Problem(frame.problem));
    }
  }

  #of(topic: string): Feed[] {
    return [...this.#feeds].filter((feed) => feed.topic === topic);
  }

  #ask(feed: Feed): void {
    stop(feed);
    if (!this.up) return;
    feed.asked = `${this.tab}.${++this.#count}`;
    const { topic, order, asked: id, members } = feed;
    const since: { since?: Position } = order.at ? { since: order.at } : {};
    this.send({ type: 'subscribe', id, topic, ...since, ...(members ? { presence: true } : {}) });
    this.#later(feed, this.timing.ackTimeout);
  }

  #later(feed: Feed, wait: number): void {
    stop(feed);
    feed.timer = setTimeout(() => this.#ask(feed), wait);
  }

  #begin(feed: Feed, answer: SubscribedFrame): void {
    stop(feed);
    feed.asked = '';
    feed.answered = true;
    const { topic, epoch, offset, recovered } = answer;
    const messages = feed.order.begin(answer);
    const told = { topic, epoch, offset, recovered };
    for (const { options } of [...feed.listeners]) safely(() => options.onSubscribed?.(told));
    if (feed.members && answer.presence) {
      feed.members = new Map(answer.presence.map((member) => [member.member, member]));
      this.#tellMembers(feed);
    }
    this.#show(feed, messages);
  }

  #message(feed: Feed, { type, ...message }: LiveMessage & { type: string }): void {
    const messages = feed.order.accept(message);
    if (messages) this.#show(feed, messages);
    else if (!feed.asked) this.#ask(feed);
  }

  #show(feed: Feed, messages: LiveMessage[]): void {
    if (!feed.asked) {
      // A hole may be a message that was overtaken; if it stays, it is fetched.
      if (!feed.order.gap) stop(feed);
      else if (messages.length > 0 || !feed.timer) this.#later(feed, this.timing.holeTimeout);
    }
    for (const message of messages) {
      feed.last = message;
      for (const { handler } of [...feed.listeners]) safely(() => handler(message));
    }
  }

  #presence(feed: Feed, { joined, left }: { joined: Member[]; left: Member[] }): void {
    if (!feed.members) return;
    for (const member of joined) feed.members.set(member.member, member);
    for (const { member } of left) feed.members.delete(member);
    this.#tellMembers(feed);
  }

  #tellMembers(feed: Feed): void {
    const members = [...(feed.members?.values() ?? [])];
    for (const { options } of [...feed.listeners]) {
      if (options.presence) safely(() => options.onPresence?.(members));
    }
  }

  #refused(feed: Feed, problem: Problem): void {
    feed.asked = '';
    if (isPassing(problem)) {
      this.#later(feed, (problem.retryAfter ?? 1) * 1000 + jitter(1, this.timing, this.environment.random));
    } else {
      stop(feed);
      for (const { options } of [...feed.listeners]) safely(() => options.onError?.(problem));
    }
  }

  /** Somebody joins a feed that runs: tell what the others know. */
  #welcome(feed: Feed, listener: Listener): void {
    const { options, handler } = listener;
    if (options.presence && !feed.members) {
      feed.members = new Map();
      this.#ask(feed);
      return;
    }
    queueMicrotask(() => {
      if (!feed.listeners.has(listener) || !feed.answered || !feed.order.at) return;
      options.onSubscribed?.({ topic: feed.topic, ...feed.order.at, recovered: false });
      if (options.presence) options.onPresence?.([...(feed.members?.values() ?? [])]);
      if (feed.last && RETAINED.test(feed.topic)) handler({ ...feed.last, retained: true });
    });
  }

  #leave(feed: Feed): void {
    stop(feed);
    this.#feeds.delete(feed);
    if (this.up && this.#of(feed.topic).length === 0) {
      this.send({ type: 'unsubscribe', id: `${this.tab}.${++this.#count}`, topic: feed.topic });
    }
  }
}
