/** The live connection of a page, for all components below its provider. */

import { createContext, type ReactNode, useContext, useEffect, useMemo, useState } from 'react';
import { createLive } from '../index.ts';
import type { Live, LiveOptions, Position, Timing } from '../live/types.ts';
import {
  type AgentStatus,
  Board,
  type BoardOptions,
  type BoardState,
  type LiveEvent,
  NOTHING,
  type OutgoingMessage,
} from './board.ts';
import { useSessionIfAny } from './session.tsx';
import { fixed, IDLE } from './stores.ts';
import { useStore } from './use-store.ts';

/** Either `live`, a connection that the page has made, or `url` and the numbers (ms) of one to make. */
export interface WebSocketProviderProps extends BoardOptions {
  live?: Live;
  url?: string;
  ticket?: LiveOptions['ticket'];
  /** Tabs with the same name share socket and outbox; see LiveOptions. */
  name?: string;
  /** Connect again after a loss. Default true. */
  autoReconnect?: boolean;
  /** Longest first wait before a try; each is drawn at random, longer after each failure. */
  reconnectInterval?: number;
  /** Failures after which tries pause for a minute. */
  maxReconnectAttempts?: number;
  /** Silence before a probe, and how long its answer may take. */
  heartbeatInterval?: number;
  heartbeatTimeout?: number;
  children?: ReactNode;
}

interface Connected {
  live: Live;
  board: Board;
}

const Context = createContext<Connected | null>(null);
const NO_BOARD = fixed(NOTHING);

export function WebSocketProvider(props: WebSocketProviderProps) {
  const { children, live: given, url, name, autoReconnect = true, topic, keep } = props;
  const session = useSessionIfAny();
  const ticket = props.ticket ?? (session ? () => session.ticket() : undefined);
  const timing = JSON.stringify(timingOf(props));
  const [own, setOwn] = useState<Live | null>(null);

  // biome-ignore lint/correctness/useExhaustiveDependencies: `ticket` may be a new function at every render
  useEffect(() => {
    if (given || url === undefined) return;
    if (ticket === undefined) throw new Error('WebSocketProvider needs a ticket, or a SessionProvider above it');
    const made = createLive({ url, ticket, timing: JSON.parse(timing), ...(name !== undefined && { name }) });
    setOwn(made);
    return () => {
      setOwn(null);
      made.close();
    };
  }, [given, url, name, timing, session]);

  const live = given ?? own;
  const connected = useMemo(() => {
    const options = { ...(topic !== undefined && { topic }), ...(keep !== undefined && { keep }) };
    return live && { live, board: new Board(live, options) };
  }, [live, topic, keep]);
  useEffect(() => connected?.board.start(), [connected]);
  useEffect(() => (live && !autoReconnect ? once(live) : undefined), [live, autoReconnect]);
  return <Context.Provider value={connected}>{children}</Context.Provider>;
}

export interface WebSocketContext extends BoardState {
  isConnected: boolean;
  /** Why it is not connected, or what was refused last. */
  error: string | null;
  reconnectAttempts: number;
  agents: AgentStatus[];
  events: LiveEvent[];
  /** Resolves when the service has it. Before the provider is ready it rejects. */
  sendMessage: (message: OutgoingMessage) => Promise<Position>;
  requestAgentStatus: (name?: string) => void;
  requestSystemMetrics: () => void;
  subscribeToAgent: (name: string) => void;
  unsubscribeFromAgent: (name: string) => void;
}

export function useWebSocketContext(): WebSocketContext {
  const connected = useContext(Context);
  const status = useStore(connected?.live.status ?? IDLE, IDLE);
  const shown = useStore(connected?.board ?? NO_BOARD, NO_BOARD);
  return useMemo(() => {
    const calls = connected?.board ?? NOT_READY;
    return {
      ...shown,
      isConnected: status.state === 'open',
      error: status.problem?.message ?? null,
      reconnectAttempts: status.attempts,
      sendMessage: calls.send,
      requestAgentStatus: calls.requestAgentStatus,
      requestSystemMetrics: calls.requestSystemMetrics,
      subscribeToAgent: calls.subscribeToAgent,
      unsubscribeFromAgent: calls.unsubscribeFromAgent,
    };
  }, [connected, status, shown]);
}

/** The connection itself, for topics of your own; null on a server, and until the provider is ready. */
export function useLive(): Live | null {
  return useContext(Context)?.live ?? null;
}

/** The board of the provider; null as useLive is. */
export function useBoard(): Board | null {
  return useContext(Context)?.board ?? null;
}

const NOT_READY = {
  send: (): Promise<Position> => Promise.reject(new Error('no WebSocketProvider is ready here')),
  requestAgentStatus: () => undefined,
  requestSystemMetrics: () => undefined,
  subscribeToAgent: () => undefined,
  unsubscribeFromAgent: () => undefined,
};

function timingOf(props: WebSocketProviderProps): Partial<Timing> {
  const named = {
    firstWait: props.reconnectInterval,
    failures: props.maxReconnectAttempts,
    silence: props.heartbeatInterval,
    probeTimeout: props.heartbeatTimeout,
  };
  return Object.fromEntries(Object.entries(named).filter(([, value]) => value !== undefined));
}

/** Leave for good at the first loss. */
function once(live: Live): () => void {
  let opened = false;
  return live.status.subscribe(() => {
    const { state } = live.status.getSnapshot();
    opened ||= state === 'open';
    if (opened && (state === 'waiting' || state === 'paused')) live.close();
  });
}
