/** The core: sessions and live topics for any page, without a framework. */

export { createLive } from './live/live.ts';
export { Problem, Unreachable } from './problems.ts';
export { createSessionClient } from './session/session.ts';
export type * from './types.ts';
