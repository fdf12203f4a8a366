import 'fake-indexeddb/auto';
import { IDBFactory } from 'fake-indexeddb';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Json } from '../src/json.ts';
import type { Live, Subscribed } from '../src/live/types.ts';
import { FakeBrowser, type FakeTab } from './support/browser.ts';
import { ownTime, pass } from './support/clock.ts';
import { inTab } from './support/lives.ts';
import { FakeServer } from './support/server.ts';

ownTime();

const TOPIC = 'app:room';

/** What may happen, in any order. */
const event = fc.oneof(
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('publish' as const), tab: fc.nat(2) }) },
  { weight: 2, arbitrary: fc.constant({ kind: 'server' as const }) },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant('wait' as const), time: fc.integer({ min: 10, max: 4_000 }) }),
  },
  {
    weight: 1,
    arbitrary: fc.constantFrom(
      ...(['cut', 'blackhole', 'down', 'up', 'kill', 'hang', 'goOn', 'rotate'] as const).map((kind) => ({ kind })),
    ),
  },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constantFrom('lose' as const, 'jitter' as const), seed: fc.nat(7) }),
  },
);

interface Shown {
  tab: FakeTab;
  live: Live;
  seen: Json[];
  /** Where the subscription began: everything after it is to be shown. */
  from: number;
}

test('whatever happens, every message is published once and shown once, in order, in every tab that lives', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(event, { minLength: 5, maxLength: 25 }), async (events) => {
      globalThis.indexedDB = new IDBFactory();
      const server = new FakeServer();
      const browser = new FakeBrowser();
      const tabs: Shown[] = [];
      const sent: string[] = [];
      const open = async () => {
        const tab = browser.tab(server);
        const live = inTab(tab, server, { durable: true });
        const shown: Shown = { tab, live, seen: [], from: -1 };
        const onSubscribed = ({ offset }: Subscribed) => {
          if (shown.from < 0) shown.from = offset;
        };
        live.subscribe(TOPIC, ({ data }) => shown.seen.push(data), { onSubscribed });
        tabs.push(shown);
        await pass(150, 50);
      };
      const goOn = () => {
        for (const { tab } of tabs) if (tab.hung) tab.goOn();
      };
      for (let each = 0; each < 3; each++) await open();

      for (const happens of events) {
        const alive = tabs.filter(({ tab }) => tab.alive);
        switch (happens.kind) {
          case 'publish': {
            const { live } = alive[happens.tab % alive.length] as Shown;
            const id = `c${sent.length}`;
            sent.push(id);
            live.publish(TOPIC, id).catch(() => {});
            await pass(20, 5); // long enough to be in the outbox
            break;
          }
          case 'server':
            server.publish(TOPIC, `s${server.published.length}`);
            break;
          case 'wait':
            await pass(happens.time, 100);
            break;
          case 'kill':
            (alive.find(({ live }) => live.status.getSnapshot().leader) ?? alive[0])?.tab.kill();
            if (alive.length < 3) await open();
            break;
          case 'hang': {
            const leader = alive.find(({ live }) => live.status.getSnapshot().leader);
            if (leader) leader.tab.hung = true;
            break;
          }
          case 'goOn':
            goOn();
            break;
          case 'rotate':
            server.tell({ type: 'rotate', before: new Date(Date.now() + 60_000).toISOString() });
            break;
          case 'lose': {
            let frame = 0;
            server.loses = () => frame++ % 8 < happens.seed / 2;
            break;
          }
          case 'jitter': {
            let frame = 0;
            server.latency = () => 1 + (frame++ % 5) * happens.seed * 20;
            break;
          }
          case 'down':
          case 'up':
            server.down = happens.kind === 'down';
            break;
          default:
            server[happens.kind]();
        }
      }

      // Then the network is well again, and there is time.
      goOn();
      server.down = false;
      server.loses = () => false;
      server.latency = () => 5;
      // A frame that a living connection lost shows by the next one.
      server.publish(TOPIC, 'last');
      await pass(120_000, 1_000);
      if (!tabs.some(({ tab }) => tab.alive)) await open();
      await pass(2_000, 100);
      const data = server.published.map((message) => message.data);
      expect([...data].filter((each) => String(each).startsWith('c')).sort()).toEqual([...sent].sort());
      for (const { tab, seen, from } of tabs) {
        if (tab.alive) expect([from >= 0, seen]).toEqual([true, data.slice(from)]);
      }
    }),
    { numRuns: 12 },
  );
});
