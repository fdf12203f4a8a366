/** Debian's Chromium with a profile of its own, and screenshots for whoever wants to see what a test saw. */

import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type BrowserContext, chromium, type Page } from 'playwright-core';

const EXECUTABLE = process.env.CHROMIUM ?? '/usr/bin/chromium';
const SCREENSHOTS = new URL('../screenshots/', import.meta.url).pathname;
const ARGS = ['--no-sandbox', '--disable-gpu', '--disable-background-networking', '--disable-dev-shm-usage'];

export interface Browser {
  context: BrowserContext;
  /** Closes it and forgets its profile. */
  close(): Promise<void>;
}

export async function opened(): Promise<Browser> {
  const profile = await mkdtemp(join(tmpdir(), 'tessera-chromium-'));
  const options = {
    executablePath: EXECUTABLE,
    headless: true,
    args: ARGS,
    viewport: { width: 800, height: 700 },
  };
  const context = await chromium.launchPersistentContext(profile, options);
  context.setDefaultTimeout(120_000);
  const close = async () => {
    await context.close();
    await rm(profile, { recursive: true, force: true });
  };
  return { context, close };
}

/** Keep what the page looks like, under a name that says when. */
export async function screenshot(page: Page, name: string): Promise<void> {
  await mkdir(SCREENSHOTS, { recursive: true });
  await page.screenshot({ path: join(SCREENSHOTS, `${name}.png`) });
}

/** Keep a figure beside the screenshots: machines are noisy, so nothing is asserted of it. */
export async function observed(name: string, text: string): Promise<void> {
  await mkdir(SCREENSHOTS, { recursive: true });
  await writeFile(join(SCREENSHOTS, `${name}.txt`), `${text}\n`);
}
