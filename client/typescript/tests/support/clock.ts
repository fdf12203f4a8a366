/** Time that passes when a test says so. */

import { afterEach, beforeEach, vi } from 'vitest';

/** For all tests of a file: timers and Date are ours, IndexedDB's own scheduling is not. */
export function ownTime(): void {
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'Date'], now: Date.UTC(2026, 10, 20) });
  });
  afterEach(() => {
    vi.useRealTimers();
  });
}

const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

/** Let so many milliseconds pass, with all that happens in them. */
export async function pass(milliseconds: number, step = 20): Promise<void> {
  for (let left = milliseconds; left > 0; left -= step) {
    await vi.advanceTimersByTimeAsync(Math.min(step, left));
    await turn();
  }
}
