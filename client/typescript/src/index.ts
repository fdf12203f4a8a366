/** The core: sessions and live topics for any page, without a framework. */

export type * from './json.ts';
export { createLive } from './live/live.ts';
export type * from './live/types.ts';
export { Problem, Unreachable } from './problems.ts';
export { createSessionClient } from './session/session.ts';
export type * from './session/types.ts';
export type { Store } from './store.ts';
