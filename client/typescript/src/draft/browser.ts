/** What a draft takes from the browser, where there is one. */

import type { TextStore } from './pending.ts';

const FIRST_RETRY = 2_000;
const LAST_RETRY = 60_000;

/** One tab at a time, where the browser can. */
export async function alone(name: string, act: () => Promise<void>): Promise<void> {
  const locks: LockManager | undefined = typeof navigator === 'undefined' ? undefined : navigator.locks;
  await (locks ? locks.request(name, act) : act());
}

/** Full jitter, so that many pages do not come back at once. */
export function backOff(failures: number): number {
  return Math.random() * Math.min(LAST_RETRY, FIRST_RETRY * 2 ** failures);
}

/** Null on a server, and where it is forbidden. */
export function browserStorage(): TextStore | null {
  try {
    return typeof document === 'undefined' ? null : localStorage;
  } catch {
    return null; // forbidden in this frame
  }
}
