/** State that others watch. */

/** State that changes, as React's useSyncExternalStore wants it: a snapshot is the same object until it changes. */
export interface Store<T> {
  subscribe(listener: () => void): () => void;
  getSnapshot(): T;
}

export interface Settable<T> extends Store<T> {
  /** Change some members; listeners hear of it only if one is different now. */
  set(change: Partial<T>): void;
}

export function store<T extends object>(initial: T): Settable<T> {
  const listeners = new Set<() => void>();
  let snapshot = initial;
  return {
    getSnapshot: () => snapshot,
    subscribe(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    set(change) {
      const next = { ...snapshot, ...change };
      if ((Object.keys(next) as (keyof T)[]).every((name) => Object.is(next[name], snapshot[name]))) return;
      snapshot = next;
      for (const listener of [...listeners]) listener();
    },
  };
}
