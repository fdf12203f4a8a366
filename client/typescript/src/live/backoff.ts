/** How long to wait before the next try, and the circuit that stops trying for a while. */

import type { Timing } from './types.ts';

/**
 * Full jitter: from 0 to a span that doubles, so that clients that fell together do not come back together
 * (Brooker, "Exponential Backoff And Jitter", 2015). `random` is of [0, 1).
 */
export function jitter(failures: number, { firstWait, longestWait }: Timing, random: () => number): number {
  return random() * Math.min(longestWait, firstWait * 2 ** (failures - 1));
}

/** After so many failures in a row the circuit is open for `pause`; then each failure opens it again. */
export function backoff(failures: number, timing: Timing, random: () => number) {
  const paused = failures >= timing.failures;
  return { paused, wait: paused ? timing.pause + jitter(1, timing, random) : jitter(failures, timing, random) };
}
