/** How long to wait before the next try, and the circuit that stops trying for a while. */

import type { Timing } from '../types.ts';

/**
 * Full jitter: from 0 to a span that doubles, so that clients that fell together do not come back together
 * (Brooker, "Exponential Backoff And Jitter", 2015). After so many failures in a row the circuit is open for `pause`;
 * then each failure opens it again.
 */
export function backoff(
  failures: number,
  timing: Timing,
  random: () => number,
): { wait: number; paused: boolean } {
  if (failures >= timing.failures) return { wait: timing.pause + random() * timing.firstWait, paused: true };
  return { wait: random() * Math.min(timing.longestWait, timing.firstWait * 2 ** (failures - 1)), paused: false };
}
