/**
 * The order of a topic, as one reader sees it: each message once, none before its predecessor.
 *
 * Offsets are dense within an epoch, so the reader knows what is missing. Position and epoch only ever change
 * together: an offset means nothing in another epoch.
 */

import type { SubscribedFrame } from './frames.ts';
import type { LiveMessage, Position } from './types.ts';

/** So many may wait for one that is missing; then they are fetched again with it. */
const MAX_WAITING = 1_000;

export class Order {
  #waiting = new Map<number, LiveMessage>();
  #until = 0;

  constructor(public at: Position | null = null) {}

  /** Whether messages are known to be missing. */
  get gap(): boolean {
    return this.at !== null && (this.#waiting.size > 0 || this.at.offset < this.#until);
  }

  /** What can be shown now; null when the message is of another epoch, so that the reader has to ask anew. */
  accept(message: LiveMessage): LiveMessage[] | null {
    if (this.at && message.epoch !== this.at.epoch) return null;
    if (this.at && message.offset <= this.at.offset) return [];
    if (this.#waiting.size >= MAX_WAITING) this.#waiting.clear();
    this.#waiting.set(message.offset, message);
    return this.#ready();
  }

  /** What can be shown after the server's answer, the message kept for newcomers first. */
  begin(answer: SubscribedFrame): LiveMessage[] {
    const { epoch, offset, retained } = answer;
    const before = this.at;
    if (answer.recovered && before?.epoch === epoch) {
      this.#until = offset;
      for (const message of answer.messages) {
        if (message.offset > before.offset) this.#waiting.set(message.offset, message);
      }
      return this.#ready();
    }
    this.at = { epoch, offset };
    this.#until = 0;
    for (const [key, message] of this.#waiting) {
      if (message.epoch !== epoch || key <= offset) this.#waiting.delete(key);
    }
    const isNews = retained && !(before?.epoch === retained.epoch && retained.offset <= before.offset);
    return [...(isNews ? [{ ...retained, retained: true }] : []), ...this.#ready()];
  }

  #ready(): LiveMessage[] {
    const ready: LiveMessage[] = [];
    while (this.at) {
      const next = this.#waiting.get(this.at.offset + 1);
      if (!next) break;
      this.#waiting.delete(next.offset);
      this.at = { epoch: next.epoch, offset: next.offset };
      ready.push(next);
    }
    return ready;
  }
}
