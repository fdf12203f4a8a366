import { afterEach, expect, it, vi } from 'vitest';
import type { RequestOptions } from '../../src/session/types.ts';
import { registerForPush } from '../../src/worker/page.ts';

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
