import type { CDPSession, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Browser, opened, screenshot } from './support/chromium.ts';
import { Pages, visited, WITH_CLIENT, type WithClient } from './support/pages.ts';

const worker = (version: string) => `importScripts('/dist/worker.js');
tessera.serve({
  version: '${version}', files: ['/', '/app.js'], shell: '/',
  onPush: (note) => {
    const { change, patch } = note.data.push;
    return change === 'messages' ? { ...note, title: Object.keys(patch.messages).length + ' new', tag: change } : note;
  },
});`;

let browser: Browser;
let pages: Pages;
let page: Page;
let tools: CDPSession;
let registrationId: string;

beforeAll(async () => {
  pages = new Pages({
    '/': { text: '<!doctype html><h1>App</h1><script type=module src=/app.js></script>' },
    '/app.js': { text: "document.querySelector('h1').textContent = 'App, running'" },
    '/client': { text: WITH_CLIENT },
    '/sw.js': { text: worker('1') },
    '/sessions/me': { text: '{"id": "ses_1"}' },
  });
  await pages.start();
  browser = await opened();
  await browser.context.grantPermissions(['notifications'], { origin: pages.origin });
  page = await browser.context.newPage();
  await visited(page, `${pages.origin}/client`);
  tools = await browser.context.newCDPSession(page);
  await page.evaluate(() => (globalThis as unknown as WithClient).client.register('/sw.js'));
  registrationId = await registered();
});

afterAll(async () => {
  await browser?.close();
  pages.stop();
});

/** What the caches hold, by cache. */
const cached = () =>
  page.evaluate(async () => {
    const names = await caches.keys();
    const paths = async (name: string) => {
      const requests = await (await caches.open(name)).keys();
      return [name, requests.map((request) => new URL(request.url).pathname)] as const;
    };
    return Object.fromEntries(await Promise.all(names.map(paths)));
  });

it('the app runs without a network, at any address of it', async () => {
  await page.evaluate(() => fetch('/sessions/me'));
  pages.stop();
  await page.goto(`${pages.origin}/some/page?of=it`);
  await page.getByText('App, running').waitFor();
  await screenshot(page, 'worker-1-without-a-network');
  await pages.start();
});

it('answers of the API are not kept', async () => {
  expect(await cached()).toEqual({ 'tessera-app-1': ['/', '/app.js'] });
});

it('a new version replaces the files of the one before', async () => {
  pages.files['/app.js'] = { text: "document.querySelector('h1').textContent = 'App, newer'" };
  pages.files['/sw.js'] = { text: worker('2') };
  await page.evaluate(async () => {
    const changed = new Promise((resolve) => {
      navigator.serviceWorker.addEventListener('controllerchange', resolve, { once: true });
    });
    const registration = await navigator.serviceWorker.ready;
    await registration.update();
    await changed;
  });
  await page.goto(pages.origin);
  await page.getByText('App, newer').waitFor();
  expect(Object.keys(await cached())).toEqual(['tessera-app-2']);
});

/** How the tools name the worker's registration; they say it once. */
async function registered(): Promise<string> {
  const told = new Promise<string>((resolve) => {
    tools.on('ServiceWorker.workerRegistrationUpdated', ({ registrations }) => {
      const live = registrations.find((one) => !one.isDeleted);
      if (live) resolve(live.registrationId);
    });
  });
  await tools.send('ServiceWorker.enable');
  return told;
}

/**
 * Deliver a push until it is shown; returns the notifications that have the tag. The browser's tools lose a delivery to
 * a worker that has just replaced another; the same tag shows a repeat in the place of the first.
 */
async function pushed(push: object, tag: string): Promise<unknown[]> {
  const delivery = { origin: pages.origin, registrationId, data: JSON.stringify(push) };
  const shown = () =>
    page.evaluate(async (wanted) => {
      const registration = await navigator.serviceWorker.ready;
      const found = await registration.getNotifications({ tag: wanted });
      return found.map(({ title, body, tag, data }) => ({ title, body, tag, data }));
    }, tag);
  const delivered = async () => {
    await tools.send('ServiceWorker.deliverPushMessage', delivery);
    return shown();
  };
  await expect.poll(delivered, { timeout: 60_000, interval: 1_000 }).not.toEqual([]);
  return shown();
}

it('a push becomes a notification', async () => {
  const push = { title: 'Your order', body: 'is on its way', tag: 'order-1', url: '/orders/1' };
  const { url, ...more } = push;
  expect(await pushed(push, 'order-1')).toEqual([{ ...more, data: { url, push } }]);
});

it('the worker has words for what the service tells of a session, and the page has the change', async () => {
  const message = { messageId: 'm-3', seq: 3, role: 'assistant', content: 'Hello' };
  const push = { change: 'messages', version: 4, patch: { messages: { '3': message } } };
  expect(await pushed(push, 'messages')).toEqual([{ title: '1 new', body: '', tag: 'messages', data: { push } }]);
});

it('background sync is a hint to the page to connect', async () => {
  await visited(page, `${pages.origin}/client`);
  await page.evaluate(async () => {
    const { client } = globalThis as unknown as WithClient;
    const outbox = {
      getSnapshot: () => ({ size: 1, syncing: false, lastSync: null, durable: true }),
      subscribe: () => () => undefined,
      list: async () => [],
      clear: async () => undefined,
    };
    const connect = () => {
      document.title = 'connects';
    };
    client.hint(await navigator.serviceWorker.ready, { outbox, connect });
  });
  const event = { origin: pages.origin, registrationId, lastChance: false };
  await tools.send('ServiceWorker.dispatchSyncEvent', { ...event, tag: 'another' });
  await tools.send('ServiceWorker.dispatchSyncEvent', { ...event, tag: 'tessera-outbox' });
  await page.waitForFunction(() => document.title === 'connects');
});
