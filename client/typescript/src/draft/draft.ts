/** A form that saves itself: what is typed is kept at once on the device, and a second later in the session. */

import type { Json, JsonObject } from '../json.ts';
import type { Bucket, SessionClient, SessionPatch } from '../session/types.ts';
import type { Store } from '../store.ts';
import { alone, backOff, browserStorage } from './browser.ts';
import { type Base, Kept } from './kept.ts';
import { type Edit, Pending, withEdits } from './pending.ts';
import {
  type Conflict,
  changes,
  conflictsOf,
  type DraftChange,
  type DraftOptions,
  type DraftState,
  defined,
  hasEnded,
  isEmpty,
  isPassing,
  START,
  stepsOf,
} from './state.ts';
import { moves, type Steps, same } from './steps.ts';

/** A session that was cleared, and is still to be deleted. */
type Left = Pick<Base, 'sessionId'>;

export class Draft<T extends JsonObject = JsonObject> implements Store<DraftState<T>> {
  private readonly client: SessionClient;
  private readonly options: Required<Omit<DraftOptions, 'storage'>>;
  private readonly pending: Pending;
  private readonly listeners = new Set<() => void>();
  private readonly kept: Kept;
  private loaded = false;
  private problem: Error | null = null;
  private conflicts: Conflict[] = [];
  private state: DraftState<T>;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private failures = 0;
  private turn: Promise<unknown> = Promise.resolve();
  private restoring: Promise<void> | null = null;
  private running: Promise<void> | null = null;
  private again = false;

  constructor(client: SessionClient, options: DraftOptions = {}) {
    const { storage = browserStorage(), ...rest } = options;
    this.client = client;
    this.options = { bucket: 'project', kind: 'form', saveAfter: 1_000, onConflict: () => 'yours', ...rest };
    this.pending = new Pending(storage, this.options.bucket);
    this.kept = new Kept(this.pending, client);
    this.state = this.shown();
  }

  subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };

  getSnapshot = (): DraftState<T> => this.state;

  /** Restore, and from then on save again when the network or the user comes back; returns how to stop. */
  start(): () => void {
    const events = new AbortController();
    const back = () => {
      if (document.visibilityState !== 'hidden') void this.refresh();
    };
    addEventListener('online', back, events);
    document.addEventListener('visibilitychange', back, events);
    const elsewhere = (event: StorageEvent) => {
      if (this.pending.owns(event.key)) this.emit();
    };
    addEventListener('storage', elsewhere, events);
    void this.load();
    return () => {
      events.abort();
      clearTimeout(this.timer);
      void this.flush();
    };
  }

  /** Make the draft's session, unless it has one; returns its id. Rejects as the client does. */
  async create(data: Partial<T> = {}, steps: Partial<Steps> = {}): Promise<string> {
    this.update({ data, ...steps });
    await this.restoring;
    this.loaded = true;
    await this.inTurn(async () => {
      if (this.base === null) await this.opened();
    });
    this.emit();
    return this.state.sessionId ?? '';
  }

  /** Change fields (null takes one away) and steps. Returns at once; saving is nobody's trouble. */
  update({ data = {}, ...steps }: DraftChange<T>): void {
    const shown = this.state.data as JsonObject;
    const changed = changes(data as JsonObject, shown, this.loaded);
    for (const [field, value] of changed) this.pending.edit(field, this.edit(field, value));
    const next = { ...this.steps(), ...defined(steps) };
    const moved = !same(next, this.steps());
    if (moved) this.pending.remember('steps', next);
    if (changed.length > 0 || moved) this.soon(moved ? 0 : this.options.saveAfter);
    this.emit();
  }

  /** Read what the session has; unsaved changes stay on top. Never rejects: `problem` says what failed. */
  load(): Promise<void> {
    this.restoring = this.inTurn(() => this.restore());
    return this.restoring;
  }

  /** Save what is unsaved now. Never rejects. */
  flush(): Promise<void> {
    clearTimeout(this.timer);
    if (!this.loaded) return Promise.resolve(); // the end of the restore saves
    if (this.running) {
      this.again = true;
      return this.running;
    }
    this.running = this.inTurn(() => this.saving()).finally(() => {
      this.running = null;
    });
    return this.running;
  }

  /** Read again, if there is something to read, and save. */
  async refresh(): Promise<void> {
    if (this.base !== null) await this.load();
    else await this.flush();
  }

  /** Forget the draft here, and delete its session: now, or as soon as the service can be reached. Never rejects. */
  clear(): Promise<void> {
    clearTimeout(this.timer);
    return this.inTurn(async () => {
      const left = this.base ?? this.pending.recall<Left>('left'); // one that was cleared before may still be there
      this.pending.clear();
      this.kept.keep(null);
      this.conflicts = [];
      if (left !== null) this.pending.remember('left', { sessionId: left.sessionId });
      this.emit();
      await this.saving();
    });
  }

  private get base(): Base | null {
    return this.kept.base;
  }

  // --- saving ------------------------------------------------------------------------------------

  /** One after the other: what was read before a save must not be taken for what is there after it. */
  private inTurn(act: () => Promise<void>): Promise<void> {
    const done = this.turn.then(act);
    this.turn = done.catch(() => undefined); // whoever asked hears of it
    return done;
  }

  private async restore(): Promise<void> {
    if (!this.loaded) this.kept.recall();
    this.emit();
    const asked = this.base;
    try {
      if (asked === null) await this.leave();
      const [session, bucket] = await Promise.all([this.client.get(), this.client.data.load(this.options.bucket)]);
      this.counts(this.kept.take(session, bucket, asked));
      this.problem = null;
    } catch (error) {
      this.failed(error);
    }
    this.forgetEmpty();
    this.loaded = true;
    this.emit();
    if (!this.state.saved) this.soon(0);
  }

  private async saving(): Promise<void> {
    try {
      do {
        this.again = false;
        await this.save();
      } while (this.again);
      this.problem = null;
      this.failures = 0;
    } catch (error) {
      this.failures += 1;
      if (this.failed(error)) this.soon(0);
      else if (isPassing(error)) this.soon(backOff(this.failures));
    }
    this.emit();
  }

  private async save(): Promise<void> {
    this.look();
    if (this.base === null) await this.leave();
    if (this.base === null && this.state.saved) return;
    if (this.base === null) await this.opened();
    if (this.base === null) return;
    const edits = this.pending.edits();
    if (Object.keys(edits).length > 0) {
      const asked: Base = this.base;
      const { data, version } = await this.patched(edits);
      // In this order another tab sees the fields in what is saved before they are no edits any more.
      if (!this.counts(this.kept.hear({ sessionId: asked.sessionId, data, version }, asked))) return;
      this.pending.saved(edits, version);
    }
    const steps = this.steps();
    for (const move of moves(this.base, steps)) {
      const asked: Base = this.base;
      const session = await this.client.patch(move as SessionPatch);
      if (!this.counts(this.kept.hear({ sessionId: asked.sessionId, ...stepsOf(session) }, asked))) return;
    }
    if (same(steps, this.steps())) this.pending.remember('steps', null);
  }

  /** Delete the session that was cleared, before another is read or made. One that may not be deleted is let go. */
  private async leave(): Promise<void> {
    const left = this.pending.recall<Left>('left');
    if (left === null) return;
    this.client.use(left.sessionId);
    await this.client.delete().catch((error: unknown) => {
      if (isPassing(error)) throw error;
    });
    this.pending.remember('left', null);
    this.client.use();
  }

  /** A three-way merge against the version that the user saw: other fields of other devices stay as they are. */
  private async patched(edits: Record<string, Edit>): Promise<Bucket> {
    const { bucket } = this.options;
    const versions = Object.values(edits).map((edit) => edit.version);
    const known = versions.filter((version) => version !== null);
    const base = known.length > 0 ? { baseVersion: Math.min(...known) } : {};
    const patch = Object.fromEntries(Object.entries(edits).map(([field, { value }]) => [field, value]));
    try {
      const saved = await this.client.data.patch(bucket, patch, base);
      this.conflicts = [];
      return saved;
    } catch (error) {
      const theirs = conflictsOf(error);
      const found = theirs && (await this.client.data.load(bucket));
      if (!found) throw error;
      this.conflicts = theirs;
      for (const conflict of theirs) {
        if (this.options.onConflict(conflict) === 'theirs') delete patch[conflict.field];
      }
      return this.client.data.patch(bucket, patch, { baseVersion: found.version });
    }
  }

  /** The session that another tab has made meanwhile, or the browser's own; else a new one with everything unsaved. */
  private opened(): Promise<void> {
    return alone(`tessera:draft:${this.options.bucket}`, async () => {
      const made = this.pending.recall<Base>('base');
      if (made !== null) {
        this.kept.look();
      } else if (!(await this.found())) await this.made();
    });
  }

  /** A restore that could not reach the service has not seen its session: it is never replaced unseen. */
  private async found(): Promise<boolean> {
    this.client.use();
    try {
      const session = await this.client.get();
      this.counts(this.kept.take(session, await this.client.data.load(this.options.bucket), null));
      this.forgetEmpty();
      return true;
    } catch (error) {
      if (hasEnded(error)) return false;
      throw error;
    }
  }

  private async made(): Promise<void> {
    const { bucket, kind } = this.options;
    const edits = this.pending.edits();
    const data = withEdits({}, edits);
    const steps = this.steps();
    const session = await this.client.create({ kind, ...steps, data: { [bucket]: data } });
    this.kept.keep({ sessionId: session.id, ...stepsOf(session), data, version: null });
    this.pending.saved(edits, null);
    if (same(steps, this.steps())) this.pending.remember('steps', null);
  }

  /** What another tab has kept since; before the restore, only of a session that this one has made. */
  private look(): void {
    if (this.loaded || this.base !== null) this.kept.look();
  }

  /** Whether an answer counts. If another tab has left its session meanwhile, all is to be done anew. */
  private counts(heard: boolean): boolean {
    this.again ||= !heard;
    return heard;
  }

  /**
   * Note why; true when the session has ended: the next save begins a new one. What an open page shows goes along,
   * since nothing may vanish under the user's hands; after a reload only what was never saved does.
   */
  private failed(error: unknown): boolean {
    if (!(error instanceof Error)) throw error;
    const ended = hasEnded(error);
    this.problem = ended ? null : error;
    if (!ended || this.base === null) return false;
    const { sessionId } = this.base;
    this.look();
    if (this.base?.sessionId !== sessionId) return true; // another tab knows already
    const edits = this.pending.edits();
    for (const [field, value] of Object.entries(this.loaded ? this.base.data : {})) {
      if (!(field in edits)) this.pending.edit(field, { value, version: null });
    }
    for (const [field, edit] of Object.entries(edits)) this.pending.edit(field, { ...edit, version: null });
    if (this.loaded) this.pending.remember('steps', this.steps());
    this.kept.keep(null);
    return true;
  }

  private soon(after: number): void {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => void this.flush(), after);
  }

  // --- what is shown -----------------------------------------------------------------------------

  /** An empty field that was typed before the restore does not take a saved one away. */
  private forgetEmpty(): void {
    for (const [field, { value, version }] of Object.entries(this.pending.edits())) {
      if (isEmpty(value) && version === null && !isEmpty(this.base?.data[field])) this.pending.drop(field);
    }
  }

  private edit(field: string, value: Json): Edit {
    const version = this.pending.edits()[field]?.version ?? this.base?.version ?? null;
    return { value, version };
  }

  private steps(): Steps {
    return this.pending.recall<Steps>('steps') ?? this.base ?? START;
  }

  private shown(): DraftState<T> {
    const edits = this.pending.edits();
    const { currentStep, completedSteps } = this.steps();
    return {
      sessionId: this.base?.sessionId ?? null,
      data: withEdits(this.base?.data ?? {}, edits) as T,
      currentStep,
      completedSteps,
      loading: !this.loaded,
      saved: Object.keys(edits).length === 0 && this.pending.recall('steps') === null,
      problem: this.problem,
      conflicts: this.conflicts,
    };
  }

  private emit(): void {
    this.look();
    this.state = this.shown();
    for (const listener of this.listeners) listener();
  }
}
