/** A browser with tabs: Web Locks, channels, and tabs that die, sleep, or lie in the background. */

import type { Environment } from '../../src/live/types.ts';
import type { FakeServer } from './server.ts';

interface Holder {
  tab: FakeTab;
  release: () => void;
  rob: () => void;
}

interface Waiting {
  tab: FakeTab;
  grant: () => void;
}

export class FakeBrowser {
  readonly channels = new Set<FakeChannel>();
  readonly held = new Map<string, Holder>();
  readonly waiting = new Map<string, Waiting[]>();

  tab(server: FakeServer): FakeTab {
    return new FakeTab(this, server);
  }

  next(name: string): void {
    const queue = this.waiting.get(name) ?? [];
    const first = queue.findIndex(({ tab }) => tab.alive);
    if (first >= 0 && !this.held.has(name)) queue.splice(first, 1)[0]?.grant();
  }
}

let count = 0;

export class FakeTab extends EventTarget {
  readonly id = `tab${++count}`;
  alive = true;
  /** It hears nothing, like a page in the back-forward cache. */
  asleep = false;
  /** It does nothing, like a page that is frozen or busy. */
  hung = false;
  visible = true;
  #undone: (() => void)[] = [];
  readonly environment: Partial<Environment>;

  constructor(
    readonly browser: FakeBrowser,
    server: FakeServer,
  ) {
    super();
    const tab = this;
    let made = 0;
    this.environment = {
      WebSocket: server.WebSocket(tab),
      locks: { request: (...given: unknown[]) => tab.#request(given) } as unknown as LockManager,
      BroadcastChannel: class extends FakeChannel {
        constructor(name: string) {
          super(name, tab);
        }
      } as unknown as typeof BroadcastChannel,
      events: tab,
      visible: () => tab.visible,
      id: () => `${tab.id}-${++made}`,
    };
  }

  show(): void {
    this.visible = true;
    this.dispatchEvent(new Event('visibilitychange'));
  }

  /** It comes back from where it heard nothing. */
  wake(): void {
    this.asleep = false;
    this.visible = true;
    this.dispatchEvent(new Event('pageshow'));
  }

  /** Done now, or when it goes on. */
  do(act: () => void): void {
    if (this.hung) this.#undone.push(act);
    else if (this.alive) act();
  }

  goOn(): void {
    this.hung = false;
    for (const act of this.#undone.splice(0)) act();
  }

  hide(): void {
    this.visible = false;
    this.dispatchEvent(new Event('visibilitychange'));
  }

  /** The browser ends the tab: what it held is free at once, what it was about to do is not done. */
  kill(): void {
    this.alive = false;
    for (const [name, holder] of [...this.browser.held]) {
      if (holder.tab === this) {
        this.browser.held.delete(name);
        this.browser.next(name);
      }
    }
    for (const channel of [...this.browser.channels]) if (channel.tab === this) channel.close();
  }

  #request(given: unknown[]): Promise<unknown> {
    const [name, options, work] = given as [string, LockOptions, () => unknown];
    const { browser } = this;
    if (!this.alive) return new Promise(() => {});
    return new Promise((resolve, reject) => {
      const grant = () => {
        const release = () => {
          if (browser.held.get(name) !== holder) return;
          browser.held.delete(name);
          browser.next(name);
        };
        const rob = () => this.do(() => reject(new DOMException('stolen', 'AbortError')));
        const holder: Holder = { tab: this, release, rob };
        browser.held.set(name, holder);
        Promise.resolve(work()).then((value) => {
          release();
          resolve(value);
        }, reject);
      };
      if (options.steal) {
        const robbed = browser.held.get(name);
        browser.held.delete(name);
        grant();
        robbed?.rob();
      } else if (browser.held.has(name)) {
        const waiting: Waiting = { tab: this, grant };
        browser.waiting.set(name, [...(browser.waiting.get(name) ?? []), waiting]);
        options.signal?.addEventListener('abort', () => {
          const queue = browser.waiting.get(name) ?? [];
          const place = queue.indexOf(waiting);
          if (place < 0) return;
          queue.splice(place, 1);
          reject(new DOMException('left', 'AbortError'));
        });
      } else {
        grant();
      }
    });
  }
}

export class FakeChannel {
  onmessage: ((event: { data: unknown }) => void) | null = null;

  constructor(
    readonly name: string,
    readonly tab: FakeTab,
  ) {
    tab.browser.channels.add(this);
  }

  postMessage(message: unknown): void {
    const { channels } = this.tab.browser;
    const data = structuredClone(message);
    this.tab.do(() => {
      for (const other of channels) {
        if (other === this || other.name !== this.name || this.tab.asleep) continue;
        const hear = () => {
          if (channels.has(other) && !other.tab.asleep) other.onmessage?.({ data });
        };
        setTimeout(() => other.tab.do(hear), 1);
      }
    });
  }

  close(): void {
    this.tab.browser.channels.delete(this);
  }
}
