/** Forms that save themselves. */

export { alone, browserStorage } from './browser.ts';
export { Draft } from './draft.ts';
export { BLANK, type Conflict, type DraftChange, type DraftOptions, type DraftState } from './state.ts';
