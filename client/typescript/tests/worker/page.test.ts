import { afterEach, expect, it, vi } from 'vitest';
import type { RequestOptions } from '../../src/session/types.ts';
import { hint, registerForPush } from '../../src/worker/page.ts';
import { TestLive } from '../support/live.ts';

const SUBSCRIPTION = {
  endpoint: 'https://push.example/abc',
  expirationTime: null,
  keys: { p256dh: 'BCVx', auth: 'BTBZ' },
};
const REGISTERED = { id: 'push_1', changes: ['messages'], createdAt: '2026-11-20T10:00:00.000Z' };

afterEach(() => void vi.unstubAllGlobals());

/** A browser whose user answers the question, and a session that notes what it is asked. */
function browser(answer: NotificationPermission) {
  const asked: [string, string, unknown][] = [];
  const keys: unknown[] = [];
  vi.stubGlobal('Notification', { requestPermission: async () => answer });
  const pushManager = {
    getSubscription: async () => null,
    subscribe: async ({ applicationServerKey }: PushSubscriptionOptionsInit) => {
      keys.push(applicationServerKey);
      return { toJSON: () => SUBSCRIPTION };
    },
  };
  const session = {
    id: 'ses_1',
    request: async <T>(method: string, path: string, { body }: RequestOptions = {}) => {
      asked.push([method, path, body]);
      return (method === 'GET' ? { publicKey: 'BKey', subscriptions: [] } : REGISTERED) as T;
    },
  };
  return { registration: { pushManager } as unknown as ServiceWorkerRegistration, session, asked, keys };
}

it('registers this browser with the service, by its key', async () => {
  const { registration, session, asked, keys } = browser('granted');
  expect(await registerForPush(registration, session, ['messages', 'flow'])).toEqual(REGISTERED);
  expect(keys).toEqual(['BKey']);
  const path = '/sessions/ses_1/push-subscriptions';
  expect(asked).toEqual([
    ['GET', path, undefined],
    ['POST', path, { ...SUBSCRIPTION, changes: ['messages', 'flow'] }],
  ]);
});

it('asks the service nothing when the user declines', async () => {
  const { registration, session, asked } = browser('denied');
  expect(await registerForPush(registration, session)).toBeNull();
  expect(asked).toEqual([]);
});

it('asks for a reminder of what waits already, and of what waits later, once each time', async () => {
  const asked: string[] = [];
  const heard = new EventTarget();
  vi.stubGlobal('navigator', { serviceWorker: heard });
  const sync = { register: async (tag: string) => void asked.push(tag) };
  const live = new TestLive();
  void live.publish('app:x', 1);
  const stop = hint({ sync } as unknown as ServiceWorkerRegistration, live);
  expect(asked).toEqual(['tessera-outbox']);
  void live.publish('app:x', 2);
  expect(asked).toHaveLength(1);
  live.acknowledge();
  void live.publish('app:x', 3);
  expect(asked).toHaveLength(2);
  heard.dispatchEvent(new MessageEvent('message', { data: { type: 'another' } }));
  expect(live.status.getSnapshot().state).toBe('idle');
  heard.dispatchEvent(new MessageEvent('message', { data: { type: 'tessera-outbox' } }));
  expect(live.status.getSnapshot().state).toBe('connecting');
  stop();
});
