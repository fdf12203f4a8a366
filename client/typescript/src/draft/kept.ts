/** What of the session is kept on this device, for all tabs: which one it is, and what was last read of it. */

import type { JsonObject } from '../json.ts';
import type { Bucket, Session, SessionClient } from '../session/types.ts';
import type { Pending } from './pending.ts';
import { START, stepsOf } from './state.ts';
import { type Steps, same } from './steps.ts';

export interface Base extends Steps {
  sessionId: string;
  data: JsonObject;
  version: number | null;
}

/** An answer of the service; what it does not speak of stays. */
export type Answer = Pick<Base, 'sessionId'> & Partial<Base>;

export class Kept {
  base: Base | null = null;

  constructor(
    private readonly pending: Pending,
    private readonly client: Pick<SessionClient, 'use'>,
  ) {}

  /** What is kept belongs to all tabs, and the news of another's save, new session or end may come late. */
  look(): void {
    const before = this.base?.sessionId;
    this.recall();
    if (this.base !== null && this.base.sessionId !== before) this.client.use(this.base.sessionId);
  }

  /** As a page before this one left it; the client's session may be another by now. */
  recall(): void {
    this.base = this.pending.recall<Base>('base');
  }

  /** As `hear`, of all that there is to read. */
  take(session: Session, bucket: Bucket | null, asked: Base | null): boolean {
    const now = this.pending.recall<Base>('base');
    const moved = now !== null && asked !== null && !same(now, asked);
    const { data, version } = bucket ?? { data: {}, version: null };
    return this.hear({ sessionId: session.id, ...(moved ? {} : stepsOf(session)), data, version }, asked);
  }

  /**
   * Keep what an answer says. `asked` is what was kept when the question was sent: a later version that another tab has
   * kept since then stays, and an answer about a session that another tab has left since then is dropped (false).
   */
  hear(answer: Answer, asked: Base | null): boolean {
    const now = this.pending.recall<Base>('base');
    if (now?.sessionId !== asked?.sessionId && now?.sessionId !== answer.sessionId) {
      this.base = now;
      this.client.use(now?.sessionId);
      return false;
    }
    const changed = now !== null && (now.sessionId !== asked?.sessionId || now.version !== asked.version);
    const overtaken = changed && (now.version ?? 0) > (answer.version ?? 0);
    const newest = overtaken ? { data: now.data, version: now.version } : {};
    this.keep({ ...START, data: {}, version: null, ...now, ...answer, ...newest });
    return true;
  }

  keep(base: Base | null): void {
    this.base = base;
    this.pending.remember('base', base);
  }
}
