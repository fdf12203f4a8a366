/** One socket and its pulse. When it is lost, whoever has it is told, and detaches it. */

import { type Received, read, type Sent } from './frames.ts';
import { LATE } from './settings.ts';
import type { Environment, Socket, Timing } from './types.ts';

export interface LinkEvents {
  opened(): void;
  /** null: something that is no frame. */
  frame(frame: Received | null): void;
  lost(): void;
}

type Clock = Pick<Environment, 'now'>;

const nothing = () => {};

export class Link {
  #timer: ReturnType<typeof setTimeout> | undefined;
  #heard = 0;
  #said = 0;

  constructor(
    private readonly socket: Socket,
    private readonly timing: Timing,
    private readonly clock: Clock,
    private readonly events: LinkEvents,
  ) {
    socket.onopen = () => {
      this.#listen(timing.silence);
      events.opened();
    };
    socket.onmessage = (event: { data: unknown }) => {
      this.#heard = clock.now();
      events.frame(read(event.data));
    };
    socket.onclose = socket.onerror = () => events.lost();
    this.#timer = setTimeout(() => events.lost(), timing.connectTimeout);
  }

  send(frame: Sent): void {
    this.#said = this.clock.now();
    try {
      this.socket.send(JSON.stringify(frame));
    } catch {
      this.events.lost(); // it was closing; what was sent counts as lost, and comes again
    }
  }

  /** Ask for a sign of life now; any frame is one. */
  probe(late = false): void {
    const { now } = this.clock;
    const sent = now();
    this.send({ type: 'ping' });
    this.#wait(this.timing.probeTimeout, () => {
      const overdue = now() - sent - this.timing.probeTimeout;
      if (this.#heard >= sent) this.#listen(this.timing.silence);
      // Timers of pages in the background are late, and frames may lie unread: such a silence proves nothing yet.
      else if (overdue > LATE && !late) this.probe(true);
      else this.events.lost();
    });
  }

  /** Leave the socket to itself: a dead one may take minutes to close, and nobody waits for it. */
  detach(): void {
    clearTimeout(this.#timer);
    const { socket } = this;
    socket.onopen = socket.onmessage = socket.onclose = socket.onerror = nothing;
    try {
      socket.close();
    } catch {
      // it could not be closed: it is dead already
    }
  }

  /** Who only listens says something, too, within twice that time: the service takes it for gone after 30 s. */
  #listen(wait: number): void {
    this.#wait(wait, () => {
      const now = this.clock.now();
      const { silence } = this.timing;
      const idle = now - this.#heard;
      const left = Math.min(silence - idle, 2 * silence - (now - this.#said));
      if (left > 0 && idle >= 0) this.#listen(left);
      else this.probe();
    });
  }

  #wait(milliseconds: number, then: () => void): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(then, milliseconds);
  }
}
