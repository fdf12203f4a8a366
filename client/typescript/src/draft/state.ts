/** What a draft is told and what it tells. */

import { Problem } from '../index.ts';
import type { Json, JsonObject } from '../json.ts';
import type { Session } from '../session/types.ts';
import type { TextStore } from './pending.ts';
import type { Steps } from './steps.ts';

export interface DraftOptions {
  /** The bucket that holds the fields; also the draft's name on this device. Default `project`. */
  bucket?: string;
  /** Kind of the sessions that it makes. Default `form`. */
  kind?: string;
  /** Milliseconds after the last change. Default 1,000. */
  saveAfter?: number;
  /** Where unsaved fields live; by default `localStorage`, on a server nowhere. */
  storage?: TextStore | null;
  /** Whose value of a field stays when another device changed it too. By default what was typed here. */
  onConflict?: (conflict: Conflict) => 'yours' | 'theirs';
}

/** A field that was changed here and elsewhere since both were the same. */
export interface Conflict {
  field: string;
  yours: Json;
  theirs: Json;
}

export interface DraftState<T> extends Steps {
  sessionId: string | null;
  data: T;
  /** Until what was saved before is here, or is known to be out of reach. */
  loading: boolean;
  /** Everything is in the session. */
  saved: boolean;
  /** Why the last save or load failed; nothing is lost, and it is tried again. */
  problem: Error | null;
  /** The last save's, so that a page can show what another device had. */
  conflicts: Conflict[];
}

export interface DraftChange<T> extends Partial<Steps> {
  data?: { [F in keyof T]?: T[F] | null };
}

export const START: Steps = { currentStep: 1, completedSteps: [] };

/** What a server renders, and a page before it has looked. */
export const BLANK: DraftState<never> = {
  sessionId: null,
  data: {} as never,
  ...START,
  loading: true,
  saved: true,
  problem: null,
  conflicts: [],
};

export function stepsOf({ currentStep, completedSteps }: Session): Steps {
  return {
    currentStep: typeof currentStep === 'number' ? currentStep : 1,
    completedSteps: Array.isArray(completedSteps) ? completedSteps.filter((step) => typeof step === 'number') : [],
  };
}

/** Whether there is no session any more, or none yet. */
export function hasEnded(error: unknown): boolean {
  return error instanceof Problem && (error.status === 401 || error.status === 404);
}

/** What the service could not hear is said to it again; what it refused waits for another change. */
export function isPassing(error: unknown): boolean {
  return !(error instanceof Problem) || error.status === 429 || error.status >= 500;
}

/** The fields of a 409 `conflict`; null for any other error. */
export function conflictsOf(error: unknown): Conflict[] | null {
  if (!(error instanceof Problem) || error.status !== 409 || !Array.isArray(error.body.conflicts)) return null;
  return (error.body.conflicts as { pointer: string; yours: Json; theirs: Json }[]).map((conflict) => ({
    field: (conflict.pointer.split('/')[1] ?? '').replaceAll('~1', '/').replaceAll('~0', '~'),
    yours: conflict.yours,
    theirs: conflict.theirs,
  }));
}

export function isEmpty(value: Json | undefined): boolean {
  return value === undefined || value === null || value === '';
}

export function defined<O extends object>(object: O): O {
  return Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined)) as O;
}

/**
 * The fields of `data` that differ from what is shown. Until a draft is restored empty ones say nothing: forms begin so.
 * Several that are emptied at once, and nothing besides, are a form that was reset: they say nothing either.
 */
export function changes(data: JsonObject, shown: JsonObject, restored: boolean): [string, Json][] {
  const fields = Object.entries(defined(data));
  const changed = fields.filter(
    ([field, value]) => JSON.stringify(shown[field] ?? null) !== JSON.stringify(value),
  );
  const blanked = changed.filter(([field, value]) => isEmpty(value) && !isEmpty(shown[field]));
  const resets = blanked.length > 1 && blanked.length === changed.length;
  return changed.filter(([, value]) => !(isEmpty(value) && (!restored || resets)));
}
