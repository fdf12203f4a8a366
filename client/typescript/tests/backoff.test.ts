import fc from 'fast-check';
import { expect, test } from 'vitest';
import { backoff } from '../src/live/backoff.ts';
import { DEFAULTS } from '../src/live/settings.ts';

const failures = fc.integer({ min: 1, max: 50 });
const chance = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });

test('full jitter: a wait is anywhere between 0 and a span that doubles up to 30 s', () => {
  fc.assert(
    fc.property(failures, chance, (count, drawn) => {
      fc.pre(count < DEFAULTS.failures);
      const { wait, paused } = backoff(count, DEFAULTS, () => drawn);
      expect([wait, paused]).toEqual([drawn * Math.min(30_000, 1_000 * 2 ** count), false]);
    }),
  );
});

test('the circuit: after eight failures in a row, and each one after them, 60 s and a little of chance', () => {
  fc.assert(
    fc.property(failures, chance, (count, drawn) => {
      fc.pre(count >= DEFAULTS.failures);
      expect(backoff(count, DEFAULTS, () => drawn)).toEqual({ wait: 60_000 + drawn * 2_000, paused: true });
    }),
  );
});
