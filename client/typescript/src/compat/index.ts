/** For pages that came with another session manager: its calls, and its data moved. */

export type { FunnelSession, HybridSession, Legacy, ProjectSession } from './legacy.ts';
export { legacy } from './legacy.ts';
export * from './manager.ts';
export { type Translated, translated } from './translate.ts';
