/** Tessera in React 18.2 and later: providers, hooks, components. */

export type { Conflict, DraftOptions } from '../draft/index.ts';
export {
  type Measured,
  Pool,
  type PoolMetrics as PoolFigures,
  type PoolOptions,
  prometheus,
  type Strategy,
} from '../pool/index.ts';
export type { AgentStatus, LiveEvent, OutgoingMessage } from './board.ts';
export { OfflineStatus, PoolMetrics, WebSocketMetrics } from './components.tsx';
export {
  useLive,
  useWebSocketContext,
  type WebSocketContext,
  WebSocketProvider,
  type WebSocketProviderProps,
} from './live.tsx';
export { type OfflineSync, useOfflineSync } from './offline.ts';
export { useWebSocketPool, type WebSocketPool, type WebSocketPoolOptions } from './pool.ts';
export { type ProjectChange, type ProjectSession, useProjectSession } from './project.ts';
export { SessionProvider, type SessionProviderProps, useSession } from './session.tsx';
