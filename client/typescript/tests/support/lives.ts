/** Live connections for tests: of one page, or of a tab. */

import { createLive } from '../../src/index.ts';
import type { Json } from '../../src/json.ts';
import type { Environment, Live, LiveOptions } from '../../src/live/types.ts';
import type { FakeTab } from './browser.ts';
import type { FakeServer } from './server.ts';

let count = 0;

/** Shorter than by default, so that tests read well. */
const TIMING = { firstWait: 1_000, failures: 5 };

/** A page of its own, whose random numbers are all one half. */
export function page(server: FakeServer, options: Partial<LiveOptions> = {}): Live {
  const environment: Partial<Environment> = {
    WebSocket: server.WebSocket(),
    random: () => 0.5,
    id: () => `id${++count}`,
    ...options.environment,
  };
  const timing = { ...TIMING, ...options.timing };
  return createLive({ url: 'wss://test', ticket: server.ticket, durable: false, ...options, timing, environment });
}

export function inTab(tab: FakeTab, server: FakeServer, options: Partial<LiveOptions> = {}): Live {
  const ticket = () => (tab.alive ? server.ticket() : new Promise<string>(() => {}));
  const environment = { ...tab.environment, random: () => 0.5, ...options.environment };
  const timing = { ...TIMING, ...options.timing };
  return createLive({ url: 'wss://test', ticket, durable: false, ...options, timing, environment });
}

/** What a subscription shows, as it grows. */
export function shown(live: Live, topic: string, options = {}): Json[] {
  const seen: Json[] = [];
  live.subscribe(topic, ({ data }) => seen.push(data), options);
  return seen;
}
