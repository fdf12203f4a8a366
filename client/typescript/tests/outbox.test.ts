import 'fake-indexeddb/auto';
import { IDBFactory } from 'fake-indexeddb';
import { beforeEach, expect, test, vi } from 'vitest';
import { openOutbox } from '../src/live/outbox.ts';
import { ownTime, pass } from './support/clock.ts';
import { page, shown } from './support/lives.ts';
import { FakeServer } from './support/server.ts';

ownTime();

const TOPIC = 'app:room';
const KEPT = { durable: true };

beforeEach(() => {
  globalThis.indexedDB = new IDBFactory();
});

const data = (server: FakeServer) => server.published.map((message) => message.data);

const message = (messageId: string, priority = 0) => ({ topic: TOPIC, messageId, data: messageId, priority });

test('what is not sent survives a reload, and goes out in its order without anything being asked', async () => {
  const server = new FakeServer();
  server.down = true;
  const before = page(server, KEPT);
  for (const each of ['a', 'b', 'c']) before.publish(TOPIC, each).catch(() => {});
  await pass(300);
  expect(before.outbox.getSnapshot()).toMatchObject({ size: 3, durable: true });
  before.close();
  server.down = false;
  const after = page(server, KEPT);
  after.connect();
  await pass(500);
  expect(data(server)).toEqual(['a', 'b', 'c']);
  expect(await after.outbox.list()).toEqual([]);
});

test('what was sent but not acknowledged before a reload is published once', async () => {
  const server = new FakeServer();
  const before = page(server, KEPT);
  server.loses = (frame) => frame.type === 'ack';
  before.publish(TOPIC, 'a').catch(() => {});
  await pass(300);
  expect(data(server)).toEqual(['a']);
  before.close();
  server.loses = () => false;
  const after = page(server, KEPT);
  after.publish(TOPIC, 'b');
  await pass(500);
  expect(data(server)).toEqual(['a', 'b']);
  expect(server.received.filter((frame) => frame.type === 'publish')).toHaveLength(3);
});

test('another name is another outbox', async () => {
  const server = new FakeServer();
  server.down = true;
  const one = page(server, { ...KEPT, name: 'ses_one' });
  one.publish(TOPIC, 'of one').catch(() => {});
  await pass(300);
  one.close();
  server.down = false;
  page(server, { ...KEPT, name: 'ses_two' }).connect();
  await pass(500);
  expect(data(server)).toEqual([]);
});

test('the browser kills the database under the page: it is opened again, and nothing is lost', async () => {
  const outbox = await openOutbox('killed', true);
  await outbox.add(message('a'));
  const transaction = vi.spyOn(IDBDatabase.prototype, 'transaction');
  transaction.mockImplementationOnce(() => {
    throw new DOMException('The database connection is closing.', 'InvalidStateError');
  });
  await outbox.add(message('b'));
  expect((await outbox.all()).map(({ messageId }) => messageId)).toEqual(['a', 'b']);
  transaction.mockRestore();
});

test('another tab wants the database for itself: it is given away, and opened again when it is needed', async () => {
  const outbox = await openOutbox('wanted', true);
  await outbox.add(message('a'));
  await new Promise((resolve, reject) => {
    const request = indexedDB.deleteDatabase('wanted');
    request.onsuccess = resolve;
    request.onblocked = reject;
  });
  await outbox.add(message('b'));
  expect((await outbox.all()).map(({ messageId }) => messageId)).toEqual(['b']);
});

test('a database that fails twice says so to whoever publishes', async () => {
  const server = new FakeServer();
  const live = page(server, KEPT);
  shown(live, TOPIC);
  await pass(300);
  const transaction = vi.spyOn(IDBDatabase.prototype, 'transaction').mockImplementation(() => {
    throw new DOMException('no space', 'QuotaExceededError');
  });
  const published = expect(live.publish(TOPIC, 1)).rejects.toMatchObject({ name: 'QuotaExceededError' });
  await pass(300);
  await published;
  transaction.mockRestore();
});

test('a browser whose database does not open keeps messages in memory, and says so', async () => {
  const server = new FakeServer();
  const open = vi.spyOn(IDBFactory.prototype, 'open').mockImplementation(() => {
    throw new DOMException('private window', 'SecurityError');
  });
  const live = page(server, KEPT);
  const published = live.publish(TOPIC, 1);
  await pass(500);
  expect(await published).toMatchObject({ offset: 1 });
  expect(live.outbox.getSnapshot().durable).toBe(false);
  open.mockRestore();
});

test('the same messageId keeps its one place', async () => {
  const outbox = await openOutbox('repeats', true);
  const seqs = [];
  for (const id of ['a', 'b', 'a']) seqs.push(await outbox.add(message(id)));
  expect(seqs).toEqual([1, 2, 1]);
  await outbox.remove(1);
  expect((await outbox.all()).map(({ seq }) => seq)).toEqual([2]);
});

test('places go up, also after all that was kept is gone', async () => {
  for (const durable of [true, false]) {
    const outbox = await openOutbox('places', durable);
    const first = await outbox.add(message('a'));
    await outbox.remove(first);
    expect(await outbox.add(message('b'))).toBeGreaterThan(first);
  }
});
