import type { Page } from 'playwright-core';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Browser, opened } from './support/chromium.ts';
import { Pages, visited, WITH_CLIENT, type WithClient } from './support/pages.ts';
import { ask, Wire } from './support/service.ts';

let browser: Browser;
let page: Page;
const pages = new Pages({ '/': { text: WITH_CLIENT } });
const wires = [new Wire(), new Wire()] as const;

beforeAll(async () => {
  await Promise.all([pages.start(), ...wires.map((wire) => wire.start())]);
  browser = await opened();
  page = await visited(await browser.context.newPage(), pages.origin);
});

afterAll(async () => {
  await browser?.close();
  pages.stop();
  for (const wire of wires) wire.cut();
});

it('the data of an older manager moves into a session of the service, and stays where it was', async () => {
  const session = await page.evaluate(async (baseUrl) => {
    const id = 'session-1795168800000-abc123-def456';
    localStorage.setItem(`config_${id}`, '{"colour": "red"}');
    // biome-ignore lint/suspicious/noDocumentCookie: as the older manager does
    document.cookie = `session_id=${id}; Max-Age=604800; Path=/`;
    const { createSessionClient, HybridSessionManager } = (globalThis as unknown as WithClient).client;
    const client = createSessionClient({ baseUrl });
    const manager = new HybridSessionManager({ client });
    await manager.migrate();
    await manager.saveData(id, { amount: 3998 }, 'order');
    return {
      id: client.id,
      legacyId: manager.getSessionId(),
      config: await manager.getConfigData(),
      valid: await manager.isValidSession(),
      old: localStorage.getItem(`config_${id}`),
    };
  }, wires[0].http);
  expect(session).toMatchObject({
    legacyId: 'session-1795168800000-abc123-def456',
    config: { colour: 'red' },
    valid: true,
    old: '{"colour": "red"}',
  });
  const found = await ask<object>(`/sessions/${session.id}?include=data`);
  expect(found).toMatchObject({
    kind: 'configurator',
    metadata: { legacyIds: ['session-1795168800000-abc123-def456'] },
    data: { config: { colour: 'red' }, order: { amount: 3998 } },
  });
});

it('a pool sends on while one of its addresses is cut', async () => {
  const urls = wires.map((wire) => wire.websocket);
  await page.evaluate(
    async ([baseUrl, addresses]) => {
      const { createSessionClient, Pool } = (globalThis as unknown as WithClient).client;
      const client = createSessionClient({ baseUrl });
      const pool = new Pool({ urls: addresses, ticket: () => client.ticket() });
      pool.start();
      Object.assign(globalThis, { pool });
    },
    [wires[0].http, urls] as const,
  );
  const metrics = () => page.evaluate(() => (globalThis as unknown as WithPool).pool.getSnapshot());
  const healthy = (count: number) =>
    page.waitForFunction((wanted) => {
      const { pool } = globalThis as unknown as WithPool;
      return pool.getSnapshot().healthyConnections === wanted;
    }, count);
  const send = (from: number) =>
    page.evaluate((first) => {
      const { pool } = globalThis as unknown as WithPool;
      return Promise.all([0, 1, 2].map((n) => pool.send('app:pool', { n: first + n }, { priority: n })));
    }, from);

  await healthy(2);
  await send(0);
  wires[1].cut();
  await healthy(1);
  const acknowledged = await send(3);
  expect(acknowledged).toHaveLength(3);
  expect(await metrics()).toMatchObject({ totalConnections: 2, unhealthyConnections: 1, pendingMessages: 0 });
});

interface WithPool {
  pool: InstanceType<WithClient['client']['Pool']>;
}
