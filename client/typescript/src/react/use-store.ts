import { useSyncExternalStore } from 'react';
import type { Store } from '../store.ts';

/** A store's state. `blank` is what a server renders, and a browser until it has taken over. */
export function useStore<T>(store: Store<T>, blank: Store<T>): T {
  return useSyncExternalStore(store.subscribe, store.getSnapshot, blank.getSnapshot);
}
