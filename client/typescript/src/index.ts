/** The core: sessions and live topics for any page, without a framework. */

export { Problem, Unreachable } from './problems.ts';
export type * from './types.ts';
