/** What a dashboard of agents shows: their last states, the system's metrics, and what happened. No framework. */

import type { Json, JsonObject } from '../json.ts';
import type { Live, Position, Subscription } from '../live/types.ts';
import type { Store } from '../store.ts';

/** The last state that an agent published, with its name. */
export type AgentStatus = JsonObject & { name: string };

export interface LiveEvent {
  type: string;
  data: Json;
  messageId: string;
  /** RFC 3339. */
  timestamp: string;
}

export interface OutgoingMessage {
  type: string;
  data?: Json;
  /** 0–10; 10 is urgent. */
  priority?: number;
  messageId?: string;
}

export interface BoardState {
  agents: AgentStatus[];
  systemMetrics: JsonObject | null;
  /** Newest last. */
  events: LiveEvent[];
}

export interface BoardOptions {
  /** Topic of messages `{type, data}`, in both directions. Default `app:messages`. */
  topic?: string;
  /** Events that are kept. Default 100. */
  keep?: number;
}

export const NOTHING: BoardState = { agents: [], systemMetrics: null, events: [] };
const SYSTEM = 'system:metrics';

export class Board implements Store<BoardState> {
  readonly topic: string;
  readonly #live: Live;
  readonly #keep: number;
  readonly #listeners = new Set<() => void>();
  readonly #subscriptions = new Map<string, Subscription>();
  #state = NOTHING;

  constructor(live: Live, { topic = 'app:messages', keep = 100 }: BoardOptions = {}) {
    this.#live = live;
    this.topic = topic;
    this.#keep = keep;
  }

  /** Follow messages and metrics; returns how to stop. */
  start(): () => void {
    this.#follow(this.topic);
    this.#follow(SYSTEM);
    return () => {
      for (const subscription of this.#subscriptions.values()) subscription.unsubscribe();
      this.#subscriptions.clear();
    };
  }

  subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };

  getSnapshot = (): BoardState => this.#state;

  /** Resolves when the service has it; without a network it waits in the outbox. */
  send = ({ type, data = null, priority, messageId }: OutgoingMessage): Promise<Position> => {
    const options = { ...(priority !== undefined && { priority }), ...(messageId !== undefined && { messageId }) };
    return this.#live.publish(this.topic, { type, data }, options);
  };

  subscribeToAgent = (name: string): void => this.#follow(`agent:${name}`);

  unsubscribeFromAgent = (name: string): void => {
    this.#leave(`agent:${name}`);
    this.#set({ agents: this.#state.agents.filter((agent) => agent.name !== name) });
  };

  /** Ask anew for the last state of an agent, or of all that are followed. */
  requestAgentStatus = (name?: string): void => {
    const followed = [...this.#subscriptions.keys()].filter((topic) => topic.startsWith('agent:'));
    for (const topic of name === undefined ? followed : [`agent:${name}`]) this.#again(topic);
  };

  requestSystemMetrics = (): void => this.#again(SYSTEM);

  /** A new subscription brings what the topic keeps for newcomers. */
  #again(topic: string): void {
    this.#leave(topic);
    this.#follow(topic);
  }

  #follow(topic: string): void {
    if (this.#subscriptions.has(topic)) return;
    const received = (message: { data: Json; messageId: string; publishedAt: string }) => {
      if (topic === SYSTEM) this.#set({ systemMetrics: members(message.data) });
      else if (topic === this.topic) this.#happened(message);
      else this.#reported(topic.slice('agent:'.length), message.data);
    };
    this.#subscriptions.set(topic, this.#live.subscribe<Json>(topic, received));
  }

  #leave(topic: string): void {
    this.#subscriptions.get(topic)?.unsubscribe();
    this.#subscriptions.delete(topic);
  }

  #reported(name: string, data: Json): void {
    const others = this.#state.agents.filter((agent) => agent.name !== name);
    const agents = [...others, { ...members(data), name }].sort((a, b) => (a.name < b.name ? -1 : 1));
    this.#set({ agents });
  }

  #happened({ data, messageId, publishedAt }: { data: Json; messageId: string; publishedAt: string }): void {
    const message = members(data);
    const type = typeof message.type === 'string' ? message.type : 'message';
    const event = { type, data: message.data ?? null, messageId, timestamp: publishedAt };
    this.#set({ events: [...this.#state.events, event].slice(-this.#keep) });
  }

  #set(change: Partial<BoardState>): void {
    this.#state = { ...this.#state, ...change };
    for (const listener of this.#listeners) listener();
  }
}

function members(value: Json): JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? value : { value };
}
