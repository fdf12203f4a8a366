/** A form of several steps that saves itself. */

import { useCallback, useEffect } from 'react';
import { BLANK, Draft, type DraftOptions, type DraftState } from '../draft/index.ts';
import type { JsonObject } from '../json.ts';
import type { SessionClient } from '../session/types.ts';
import { useLive } from './live.tsx';
import { useSession } from './session.tsx';
import { fixed } from './stores.ts';
import { useStore } from './use-store.ts';

export interface ProjectChange<T> {
  /** Only the fields that changed; null takes one away. */
  projectData?: { [F in keyof T]?: T[F] | null };
  currentStep?: number;
  completedSteps?: number[];
}

export interface ProjectSession<T> {
  sessionId: string | null;
  projectData: T;
  currentStep: number;
  completedSteps: number[];
  /** Until what was saved before is shown. */
  loading: boolean;
  /** Everything is in the session. */
  saved: boolean;
  conflicts: DraftState<T>['conflicts'];
  /** Resolves with the id of the draft's session, made if there was none. */
  createSession: (projectData?: Partial<T>, currentStep?: number, completedSteps?: number[]) => Promise<string>;
  /** Saved a second after the last change, at once with a step. Never fails: what cannot be sent waits. */
  updateSession: (change: ProjectChange<T>) => void;
  loadSession: () => Promise<void>;
  /** Forget the form and delete its session, after it was sent. */
  clearSession: () => Promise<void>;
}

const NO_DRAFT = fixed(BLANK);

/** Components with the same bucket share one form. `options` count for the first of them. */
export function useProjectSession<T extends JsonObject = JsonObject>(
  options: DraftOptions = {},
): ProjectSession<T> {
  const client = useSession();
  const live = useLive();
  const draft = draftOf<T>(client, options);
  const state = useStore<DraftState<T>>(draft, NO_DRAFT);
  useEffect(() => hold(draft), [draft]);
  useEffect(() => {
    if (live === null || state.sessionId === null) return;
    const changed = ({ data }: { data: JsonObject }) => {
      if (data.change === 'data' || data.change === 'session') void draft.refresh();
    };
    const subscription = live.subscribe<JsonObject>(`session:${state.sessionId}`, changed);
    return () => subscription.unsubscribe();
  }, [live, draft, state.sessionId]);
  const { data: projectData, ...shown } = state;
  return {
    ...shown,
    projectData,
    createSession: useCallback(
      (data = {}, currentStep, completedSteps) =>
        draft.create(data, { ...(currentStep && { currentStep }), ...(completedSteps && { completedSteps }) }),
      [draft],
    ),
    updateSession: useCallback(
      ({ projectData: data, ...steps }) => draft.update({ ...(data && { data }), ...steps }),
      [draft],
    ),
    loadSession: useCallback(() => draft.load(), [draft]),
    clearSession: useCallback(() => draft.clear(), [draft]),
  };
}

const drafts = new WeakMap<SessionClient, Map<string, Draft>>();
const held = new WeakMap<object, { count: number; stop: () => void }>();

function draftOf<T extends JsonObject>(client: SessionClient, options: DraftOptions): Draft<T> {
  const all = drafts.get(client) ?? new Map<string, Draft>();
  drafts.set(client, all);
  const { bucket = 'project' } = options;
  const found = all.get(bucket) ?? new Draft(client, options);
  all.set(bucket, found);
  return found as unknown as Draft<T>; // what its fields are, is the page's promise
}

/** Started with the first component that shows it, stopped with the last. */
function hold(draft: { start(): () => void }): () => void {
  const one = held.get(draft) ?? { count: 0, stop: () => undefined };
  held.set(draft, one);
  if (one.count++ === 0) one.stop = draft.start();
  return () => {
    if (--one.count === 0) one.stop();
  };
}
