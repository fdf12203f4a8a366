import type { Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { bundled } from './support/bundle.ts';
import { type Browser, observed, opened, screenshot } from './support/chromium.ts';
import { Pages } from './support/pages.ts';
import { ask, Wire } from './support/service.ts';

const WORKER = `importScripts('/dist/worker.js');
tessera.serve({ version: '1', files: ['/', '/page.js'], shell: '/' });`;

let browser: Browser;
let pages: Pages;
const wire = new Wire();

beforeAll(async () => {
  pages = new Pages({
    '/': {
      text: '<!doctype html><title>Project</title><div id=root></div><script type=module src=/page.js></script>',
    },
    '/page.js': { text: await bundled('form.tsx') },
    '/sw.js': { text: WORKER },
  });
  await Promise.all([pages.start(), wire.start()]);
  browser = await opened();
});

/** The tabs of a test share their socket with no others. */
afterEach(async () => {
  await Promise.all(browser.context.pages().map((page) => page.close()));
  await sockets(0);
});

afterAll(async () => {
  await browser?.close();
  pages.stop();
  wire.cut();
});

async function shown(topic: string): Promise<Page> {
  const page = await browser.context.newPage();
  const query = new URLSearchParams({ http: wire.http, websocket: wire.websocket, topic });
  await page.goto(`${pages.origin}/?${query}`);
  await page.locator('main[data-connected=true]').waitFor();
  return page;
}

const sockets = (count: number) => expect.poll(() => wire.live, { timeout: 60_000 }).toBe(count);

async function say(page: Page, text: string): Promise<void> {
  await page.getByLabel('message').fill(text);
  await page.getByLabel('message').press('Enter');
}

/** Busy with one thing, until it may go on. */
async function busy(page: Page): Promise<() => Promise<void>> {
  const [asked, answer] = pages.hold('/busy');
  const done = page.evaluate(() => {
    const request = new XMLHttpRequest();
    request.open('GET', '/busy', false);
    request.send();
  });
  await asked;
  return () => {
    answer();
    return done;
  };
}

const said = (page: Page) => page.locator('li').allTextContents();

it('what is typed and sent survives a dead server, no network and a reload', async () => {
  const page = await shown('app:form');
  await page.evaluate(() => navigator.serviceWorker.ready);
  await page.getByLabel('projectName').fill('Analytical Engine');
  await page.locator('main[data-saved=true]').waitFor();

  wire.cut();
  await page.locator('main[data-connected=false]').waitFor();
  await page.getByLabel('clientName').fill('Ada');
  await say(page, 'written to nobody');
  await page.getByText('1 message waits').waitFor();
  await screenshot(page, 'form-1-the-server-is-dead');

  pages.stop();
  await browser.context.setOffline(true);
  await page.reload();
  await page.getByText('Offline').waitFor();
  await page.getByText('1 message waits').waitFor();
  expect(await page.getByLabel('projectName').inputValue()).toBe('Analytical Engine');
  expect(await page.getByLabel('clientName').inputValue()).toBe('Ada');
  await page.getByLabel('clientName').fill('Ada Lovelace');
  await screenshot(page, 'form-2-reloaded-without-a-network');

  await Promise.all([pages.start(), wire.start()]);
  await browser.context.setOffline(false);
  await page.locator('main[data-saved=true][data-connected=true]').waitFor();
  await page.locator('li').waitFor();
  await screenshot(page, 'form-3-back');
  expect(await said(page)).toEqual(['written to nobody']);
  const session = await page.locator('output').textContent();
  const { data } = await ask<{ data: object }>(`/sessions/${session}/data/project`);
  expect(data).toEqual({ projectName: 'Analytical Engine', clientName: 'Ada Lovelace' });

  await page.reload();
  await page.getByText('Online').waitFor();
  expect(await page.getByLabel('clientName').inputValue()).toBe('Ada Lovelace');
});

it('two tabs share one socket, and when the leader is closed the other takes over', async () => {
  const first = await shown('app:tabs');
  const second = await shown('app:tabs');
  expect(wire.live).toBe(1);
  const [leader, follower] =
    (await first.locator('main').getAttribute('data-leader')) === 'true' ? [first, second] : [second, first];

  await say(follower, 'through the other tab');
  for (const page of [first, second]) await page.getByText('through the other tab').waitFor();
  await screenshot(follower, 'tabs-1-one-socket');

  const closed = Date.now();
  await leader.close();
  await follower.locator('main[data-leader=true][data-connected=true]').waitFor();
  await observed(
    'tabs-takeover',
    `${Date.now() - closed} ms from closing the leader to an open socket of the other`,
  );
  await sockets(1);
  await say(follower, 'on my own');
  await follower.getByText('on my own').waitFor();
  expect(await said(follower)).toEqual(['through the other tab', 'on my own']);
  await screenshot(follower, 'tabs-2-taken-over');
});

it('a leader that hangs is replaced, and nothing is lost', async () => {
  const [leader, follower] = [await shown('app:hangs'), await shown('app:hangs')];
  for (const page of [leader, follower]) await page.evaluate(() => navigator.serviceWorker.ready);
  await say(leader, 'before');
  await follower.getByText('before').waitFor();

  const goOn = await busy(leader);
  const hung = Date.now();
  await say(follower, 'while it hangs');
  await follower.locator('main[data-leader=true][data-connected=true]').waitFor();
  await observed(
    'tabs-takeover-hung',
    `${Date.now() - hung} ms from a leader that hangs to an open socket of the other`,
  );
  await follower.getByText('while it hangs').waitFor();
  await screenshot(follower, 'tabs-3-the-leader-hangs');

  await goOn();
  await leader.locator('main[data-leader=false][data-connected=true]').waitFor();
  await say(leader, 'I follow');
  for (const page of [leader, follower]) {
    await page.getByText('I follow').waitFor();
    expect(await said(page)).toEqual(['before', 'while it hangs', 'I follow']);
  }
  await sockets(1);
});

it('the form of one tab is in the other at once', async () => {
  const [first, second] = [await shown('app:both'), await shown('app:both')];
  await first.getByLabel('projectName').fill('Difference Engine');
  await second.locator('input[value="Difference Engine"]').waitFor();
  await second.getByLabel('clientName').fill('Charles');
  await first.locator('input[value=Charles]').waitFor();
  await first.locator('main[data-saved=true]').waitFor();
  expect(await first.getByLabel('projectName').inputValue()).toBe('Difference Engine');
});
