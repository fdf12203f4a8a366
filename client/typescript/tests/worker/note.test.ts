import { expect, it } from 'vitest';
import { note } from '../../src/worker/note.ts';

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
  ['anything else', [1], { title: 'News' }],
])('a push is %s', (_, sent, shown) => {
  expect(note(JSON.stringify(sent))).toEqual(shown);
});

it('plain text is shown as it is, and an empty push too', () => {
  expect(note('Your order is on its way')).toEqual({ title: 'News', body: 'Your order is on its way' });
  expect(note('')).toEqual({ title: 'News' });
});
