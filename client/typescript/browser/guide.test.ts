import type { Page } from 'playwright-core';
import { afterAll, expect, it } from 'vitest';
import { type Browser, opened, screenshot } from './support/chromium.ts';
import { blocks, Shell } from './support/shell.ts';

const [begin, serve, down, up, end, ...more] = blocks('docs/realtime.md', '## A live page in five minutes');
const shell = new Shell();
let browser: Browser | undefined;

afterAll(async () => {
  await browser?.close();
  shell.end();
});

const status = (page: Page, text: string) => page.locator('#status', { hasText: text }).waitFor();
const saved = (page: Page) => page.locator('#saved', { hasText: 'saved in ses_' }).waitFor();
const said = (page: Page) => page.locator('#said li').allTextContents();

async function tab(address: string): Promise<Page> {
  const page = await (browser as Browser).context.newPage();
  await page.goto(address);
  await status(page, 'open');
  return page;
}

async function say(page: Page, text: string): Promise<void> {
  await page.getByLabel('Say something').fill(text);
  await page.getByRole('button', { name: 'Send' }).click();
}

it('the page does in two tabs what the guide says', async () => {
  expect([begin, serve, down, up, end].every((block) => block !== undefined) && more).toEqual([]);
  await shell.run(begin ?? '');
  const address = (await shell.run(serve ?? '')).trim();
  expect(address).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/examples\/live\/\?http=http.*&websocket=ws.*$/);
  browser = await opened();
  const [one, two] = [await tab(address), await tab(address)];
  await status(one, 'this tab holds the socket');
  await status(two, 'another tab holds the socket');

  await one.getByLabel('Title').fill('Analytical Engine');
  await two.waitForFunction(() => document.querySelector('input')?.value === 'Analytical Engine');
  await saved(one);
  await say(two, 'hello');
  for (const page of [one, two]) await page.getByText('hello').waitFor();
  await screenshot(two, 'guide-1-two-tabs');

  await one.close();
  await status(two, 'this tab holds the socket');
  await say(two, 'still here');
  await two.getByText('still here').waitFor();

  await shell.run(down ?? '');
  await two.getByLabel('Note').fill('typed to nobody');
  await say(two, 'sent to nobody');
  await status(two, '1 to send');
  await two.locator('#saved', { hasText: 'kept in this browser' }).waitFor();
  await two.reload();
  await status(two, '1 to send');
  expect(await two.getByLabel('Note').inputValue()).toBe('typed to nobody');
  expect(await two.getByLabel('Title').inputValue()).toBe('Analytical Engine');
  await screenshot(two, 'guide-2-without-the-service');

  await shell.run(up ?? '');
  await two.reload();
  await two.getByText('sent to nobody').waitFor();
  await saved(two);
  expect((await said(two)).filter((text) => text === 'sent to nobody')).toHaveLength(1);
  await status(two, 'open');
  await screenshot(two, 'guide-3-back');
  await shell.run(end ?? '');
});
