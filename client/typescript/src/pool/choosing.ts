/** Which connection takes the next message: pure. */

export type Strategy = 'round-robin' | 'least-used' | 'health-based';

export interface Candidate {
  healthy: boolean;
  /** Messages on it that are not acknowledged yet. */
  pending: number;
  /** Messages that it has taken. */
  sent: number;
  /** Mean ms from publish to ack; null before the first. */
  responseTime: number | null;
  /** Failures since the last health check. */
  errors: number;
}

/** The healthy one that is next, idlest, or best; null without any. `turn` counts what was chosen before. */
export function choose<C extends Candidate>(candidates: C[], strategy: Strategy, turn: number): C | null {
  const healthy = candidates.filter((one) => one.healthy);
  if (strategy === 'round-robin') return healthy[turn % healthy.length] ?? null;
  const order = strategy === 'least-used' ? byUse : byHealth;
  return healthy.sort(order)[0] ?? null;
}

function byUse(one: Candidate, other: Candidate): number {
  return one.pending - other.pending || one.sent - other.sent;
}

/** Fewest failures, then the shortest time that a message would take behind those that wait already. */
function byHealth(one: Candidate, other: Candidate): number {
  return one.errors - other.errors || expected(one) - expected(other) || byUse(one, other);
}

/** An unknown connection is tried before a known slow one. */
function expected({ responseTime, pending }: Candidate): number {
  return (responseTime ?? 0) * (pending + 1);
}
