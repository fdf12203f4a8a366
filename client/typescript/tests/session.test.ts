import { expect, test, vi } from 'vitest';
import { createSessionClient, Problem, Unreachable } from '../src/index.ts';
import type { SessionOptions } from '../src/session/types.ts';
import { ownTime, pass } from './support/clock.ts';

ownTime();

interface Asked {
  method: string;
  path: string;
  headers: Record<string, string>;
  body: unknown;
  credentials: RequestCredentials | undefined;
}

type Answer = { status?: number; json?: unknown; headers?: Record<string, string> } | Error;

/** An API that answers what a test says, and remembers what it was asked. */
function api(answers: (asked: Asked, count: number) => Answer, options: Partial<SessionOptions> = {}) {
  const asked: Asked[] = [];
  const fetch = async (url: string, init: RequestInit) => {
    const headers = Object.fromEntries(new Headers(init.headers).entries());
    const body = init.body === undefined ? undefined : JSON.parse(String(init.body));
    const ask = { method: String(init.method), path: url.slice('http://test'.length), headers, body };
    asked.push({ ...ask, credentials: init.credentials });
    const answer = answers({ ...ask, credentials: init.credentials }, asked.length);
    if (answer instanceof Error) throw answer;
    const { status = 200, json, headers: told = {} } = answer;
    return new Response(status === 204 ? null : JSON.stringify(json ?? {}), { status, headers: told });
  };
  const client = createSessionClient({
    baseUrl: 'http://test/',
    fetch: fetch as typeof globalThis.fetch,
    ...options,
  });
  return { client, asked };
}

const TOKENS = { accessToken: 'a1', refreshToken: 'r1', expiresIn: 900 };
const problem = (slug: string, status: number): Answer => ({
  status,
  json: { type: `/problems/${slug}`, status, title: slug },
});

test('create: the session is known from then on, and its token goes with each call', async () => {
  const { client, asked } = api(({ path }) =>
    path === '/sessions'
      ? { status: 201, json: { session: { id: 'ses_a' }, tokens: TOKENS } }
      : { json: { id: 'ses_a' } },
  );
  await client.create({ kind: 'form' });
  await client.patch({ currentStep: 2 }, { ifMatch: 3 });
  expect(client.id).toBe('ses_a');
  expect(asked).toMatchObject([
    { method: 'POST', path: '/sessions', body: { kind: 'form' }, credentials: 'omit' },
    { method: 'PATCH', path: '/sessions/ses_a', headers: { authorization: 'Bearer a1', 'if-match': '"3"' } },
  ]);
  expect(asked[0]?.headers).not.toHaveProperty('authorization');
});

test.each([
  ['get', 'GET', '/sessions/me?include=data%2Cmessages', undefined],
  ['extend', 'POST', '/sessions/me/extend', { seconds: 60 }],
  ['validity', 'GET', '/sessions/me/validity', undefined],
  ['delete', 'DELETE', '/sessions/me?purge=true', undefined],
  ['advance', 'POST', '/sessions/me/advance', { to: 'processing' }],
  ['ticket', 'POST', '/sessions/me/socket-ticket', undefined],
  ['load', 'GET', '/sessions/me/data/a%2Fb', undefined],
  ['save', 'PUT', '/sessions/me/data/form?ttlSeconds=60', { name: 'x' }],
  ['patchData', 'PATCH', '/sessions/me/data/form?baseVersion=4', { name: null }],
  ['remove', 'DELETE', '/sessions/me/data/form', undefined],
  ['append', 'POST', '/sessions/me/messages', { messages: [{ role: 'user', content: 'hi' }] }],
  ['read', 'GET', '/sessions/me/messages?limit=5&before=9', undefined],
  ['pop', 'POST', '/sessions/me/messages/pop', undefined],
  ['clear', 'DELETE', '/sessions/me/messages', undefined],
])('%s is %s %s', async (call, method, path, body) => {
  const { client, asked } = api(() => ({ json: {} }));
  const calls: Record<string, () => Promise<unknown>> = {
    get: () => client.get(['data', 'messages']),
    extend: () => client.extend(60),
    validity: () => client.validity(),
    delete: () => client.delete({ purge: true }),
    advance: () => client.advance('processing'),
    ticket: () => client.ticket(),
    load: () => client.data.load('a/b'),
    save: () => client.data.save('form', { name: 'x' }, { ttlSeconds: 60 }),
    patchData: () => client.data.patch('form', { name: null }, { baseVersion: 4 }),
    remove: () => client.data.remove('form'),
    append: () => client.messages.append({ role: 'user', content: 'hi' }),
    read: () => client.messages.read({ limit: 5, before: 9 }),
    pop: () => client.messages.pop(),
    clear: () => client.messages.clear(),
  };
  await calls[call]?.();
  expect(asked).toMatchObject([{ method, path, ...(body ? { body } : {}) }]);
});

test('a bucket that there is none of is null, a session that is gone is a problem', async () => {
  const { client } = api(({ path }) =>
    problem(path.endsWith('form') ? 'bucket-not-found' : 'session-not-found', 404),
  );
  expect(await client.data.load('form')).toBeNull();
  await expect(client.data.load('other')).rejects.toMatchObject({ slug: 'session-not-found', status: 404 });
});

test('an access token that has expired is renewed once for all calls, and they go on', async () => {
  const kept: string[] = [];
  const { client, asked } = api(
    ({ path, headers }) => {
      if (path === '/tokens/refresh') return { json: { ...TOKENS, accessToken: 'a2', refreshToken: 'r2' } };
      return headers.authorization === 'Bearer a2' ? { json: { id: 'ses_a' } } : problem('token-expired', 401);
    },
    { tokens: TOKENS, onTokens: (tokens) => kept.push(tokens.refreshToken) },
  );
  await Promise.all([client.get(), client.validity(), client.extend()]);
  expect(asked.filter(({ path }) => path === '/tokens/refresh')).toMatchObject([{ body: { refreshToken: 'r1' } }]);
  expect(asked.find(({ path }) => path === '/tokens/refresh')?.headers).not.toHaveProperty('authorization');
  expect(kept).toEqual(['r2']);
});

test('an access token that is about to expire is renewed before it is used: no call fails for it', async () => {
  let expiresIn = 60;
  const { client, asked } = api(({ path }) => {
    if (path === '/sessions')
      return { status: 201, json: { session: { id: 'ses_a' }, tokens: { ...TOKENS, expiresIn } } };
    if (path === '/tokens/refresh') return { json: { ...TOKENS, accessToken: 'a2', expiresIn } };
    return { json: {} };
  });
  await client.create();
  expiresIn = 900;
  await pass(40_000, 1_000);
  await client.validity();
  expect(asked.map(({ path }) => path)).toEqual(['/sessions', '/tokens/refresh', '/sessions/ses_a/validity']);
  expect(asked.at(-1)?.headers.authorization).toBe('Bearer a2');
});

test('a token that cannot be renewed yet is used as long as it is good', async () => {
  let [expiresIn, away] = [60, false];
  const { client, asked } = api(({ path }) => {
    if (path === '/sessions')
      return { status: 201, json: { session: { id: 'ses_a' }, tokens: { ...TOKENS, expiresIn } } };
    if (path === '/tokens/refresh') return away ? new TypeError('network') : { json: { ...TOKENS, expiresIn } };
    return { json: {} };
  });
  await client.create();
  [expiresIn, away] = [900, true];
  await pass(40_000, 1_000);
  const good = client.validity();
  await pass(5_000, 100);
  await good;
  expect(asked.at(-1)).toMatchObject({
    path: '/sessions/ses_a/validity',
    headers: { authorization: 'Bearer a1' },
  });
  await pass(20_000, 1_000);
  const late = expect(client.validity()).rejects.toBeInstanceOf(Unreachable);
  await pass(5_000, 100);
  await late;
});

test('a token that stays refused is no loop', async () => {
  const { client, asked } = api(
    ({ path }) => (path === '/tokens/refresh' ? { json: TOKENS } : problem('token-expired', 401)),
    { tokens: TOKENS },
  );
  await expect(client.get()).rejects.toMatchObject({ slug: 'token-expired' });
  expect(asked).toHaveLength(3);
});

test('by cookie: the browser sends it, the CSRF header goes along, tokens are forgotten', async () => {
  const onTokens = vi.fn();
  const { client, asked } = api(() => ({ status: 201, json: { session: { id: 'ses_a' }, tokens: TOKENS } }), {
    credentials: 'cookie',
    onTokens,
  });
  await client.create();
  await client.extend();
  for (const { headers, credentials } of asked) {
    expect([credentials, headers['x-tessera-csrf'], headers.authorization]).toEqual(['include', '1', undefined]);
  }
  expect(onTokens).not.toHaveBeenCalled();
});

test('a POST that gets no answer is repeated with the same Idempotency-Key', async () => {
  const { client, asked } = api((_, count) => (count < 3 ? new TypeError('network') : { json: {} }));
  const appended = client.messages.append({ role: 'user', content: 'hi' });
  await pass(5_000, 100);
  await appended;
  expect(new Set(asked.map(({ headers }) => headers['idempotency-key'])).size).toBe(1);
  expect(asked).toHaveLength(3);
});

test('503 and 429 are repeated after Retry-After, four times in all', async () => {
  const random = vi.spyOn(Math, 'random').mockReturnValue(0); // no jitter: 2 s between two tries
  const { client, asked } = api(() => ({ ...problem('unavailable', 503), headers: { 'Retry-After': '2' } }));
  const settled = expect(client.patch({ currentStep: 1 }, { ifMatch: 1 })).rejects.toMatchObject({
    status: 503,
    retryAfter: 2,
  });
  await pass(5_000, 100);
  expect(asked).toHaveLength(3);
  await pass(5_000, 100);
  await settled;
  expect(asked).toHaveLength(4);
  random.mockRestore();
});

test('what may have been done is not repeated when a repeat would be refused for it', async () => {
  const { client, asked } = api(() => new TypeError('network'));
  await expect(client.patch({ currentStep: 1 }, { ifMatch: 1 })).rejects.toBeInstanceOf(Unreachable);
  await expect(client.delete()).rejects.toBeInstanceOf(Unreachable);
  expect(asked).toHaveLength(2);
});

test('a conflict has its evidence', async () => {
  const conflicts = [{ pointer: '/name', base: 'a', yours: 'b', theirs: 'c' }];
  const { client } = api(() => ({ status: 409, json: { type: '/problems/conflict', status: 409, conflicts } }));
  const patched = client.data.patch('form', { name: 'b' }, { baseVersion: 1 });
  await expect(patched).rejects.toMatchObject({ body: { conflicts } });
  await expect(patched).rejects.toBeInstanceOf(Problem);
});

test('a page of a gateway is a problem with its status', async () => {
  const fetch = vi.fn(async () => new Response('<h1>Bad request</h1>', { status: 400 }));
  const client = createSessionClient({ baseUrl: 'http://test', fetch });
  await expect(client.get()).rejects.toMatchObject({ status: 400, slug: 'about:blank' });
});
