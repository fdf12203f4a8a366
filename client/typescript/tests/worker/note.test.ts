import { expect, it } from 'vitest';
import { note } from '../../src/worker/note.ts';

/** What the service pushes of a session: the data of the message in `session:<id>`. */
const CHANGE = {
  change: 'messages',
  version: 4,
  patch: { messages: { '3': { messageId: 'm-3', seq: 3, role: 'assistant', content: 'Hello' } } },
};

it.each([
  [
    'a notification',
    { title: 'Hi', body: 'there', url: '/x' },
    { title: 'Hi', body: 'there', data: { url: '/x' } },
  ],
  [
    'a message about one',
    { topic: 'customer:ada', messageId: 'm-1', data: { title: 'Hi' } },
    { title: 'Hi', tag: 'm-1', data: { topic: 'customer:ada' } },
  ],
  ['another message', { topic: 'app:x', data: { price: 3 } }, { title: 'News' }],
  ['a change of a session', CHANGE, { title: 'News' }],
  ['a change that is too large for a push', { ...CHANGE, patch: null }, { title: 'News' }],
  ['anything else', [1], { title: 'News' }],
])('a push is %s, and brings along what was sent', (_, push, shown) => {
  const data = 'data' in shown ? shown.data : {};
  expect(note(JSON.stringify(push))).toEqual({ ...shown, data: { ...data, push } });
});

it('plain text is shown as it is, and an empty push too', () => {
  const text = 'Your order is on its way';
  expect(note(text)).toEqual({ title: 'News', body: text, data: { push: text } });
  expect(note('')).toEqual({ title: 'News', data: {} });
});
