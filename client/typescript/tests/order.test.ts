import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { SubscribedFrame } from '../src/live/frames.ts';
import { Order } from '../src/live/order.ts';
import type { LiveMessage } from '../src/live/types.ts';

const message = (offset: number, epoch = 'e'): LiveMessage => ({
  topic: 't',
  epoch,
  offset,
  messageId: `m${offset}`,
  data: offset,
  publishedAt: '2026-11-20T10:00:00.000Z',
});

const answer = (offset: number, rest: Partial<SubscribedFrame> = {}): SubscribedFrame => ({
  type: 'subscribed',
  id: '1',
  topic: 't',
  epoch: 'e',
  offset,
  recovered: false,
  messages: [],
  ...rest,
});

const offsets = (messages: LiveMessage[] | null) => messages?.map((each) => each.offset);

test('any number of copies in any order become each message once and in order', () => {
  const deliveries = fc.integer({ min: 1, max: 30 }).chain((count) =>
    fc.tuple(
      fc.constant(count),
      // Every message at least once, some more often, shuffled.
      fc.array(fc.integer({ min: 1, max: count }), { maxLength: 30 }).chain((extra) => {
        const all = [...Array.from({ length: count }, (_, index) => index + 1), ...extra];
        return fc.shuffledSubarray(all, { minLength: all.length, maxLength: all.length });
      }),
    ),
  );
  fc.assert(
    fc.property(deliveries, fc.nat(30), ([count, delivered], begins) => {
      const order = new Order();
      const shown: number[] = [];
      for (const [index, offset] of delivered.entries()) {
        if (index === Math.min(begins, delivered.length - 1))
          shown.push(...(offsets(order.begin(answer(0))) ?? []));
        shown.push(...(offsets(order.accept(message(offset))) ?? []));
      }
      expect(shown).toEqual(Array.from({ length: count }, (_, index) => index + 1));
      expect(order.gap).toBe(false);
    }),
  );
});

test('whatever is lost, a resumption from its position shows the rest, once', () => {
  fc.assert(
    fc.property(fc.array(fc.boolean(), { maxLength: 40 }), fc.boolean(), (arrives, inFrames) => {
      const order = new Order();
      const shown = offsets(order.begin(answer(0))) ?? [];
      for (const [index, arrived] of arrives.entries()) {
        if (arrived) shown.push(...(offsets(order.accept(message(index + 1))) ?? []));
      }
      const since = order.at?.offset ?? 0;
      const missed = arrives.map((_, index) => message(index + 1)).slice(since);
      const messages = inFrames ? [] : missed;
      shown.push(...(offsets(order.begin(answer(arrives.length, { recovered: true, messages }))) ?? []));
      if (inFrames) for (const each of missed.reverse()) shown.push(...(offsets(order.accept(each)) ?? []));
      expect(shown).toEqual(arrives.map((_, index) => index + 1));
      expect([order.gap, order.at]).toEqual([false, { epoch: 'e', offset: arrives.length }]);
    }),
  );
});

test('a resumption that promises more than it brings leaves a gap', () => {
  const order = new Order({ epoch: 'e', offset: 2 });
  expect(offsets(order.begin(answer(5, { recovered: true, messages: [message(3)] })))).toEqual([3]);
  expect(order.gap).toBe(true);
});

test('another epoch is not mixed in: null says that the reader has to ask', () => {
  const order = new Order({ epoch: 'e', offset: 2 });
  expect(order.accept(message(3, 'f'))).toBeNull();
  expect(order.at).toEqual({ epoch: 'e', offset: 2 });
});

test('messages that overtake the answer wait for it, those of another epoch are dropped', () => {
  const order = new Order();
  order.accept(message(6));
  order.accept(message(7, 'old'));
  expect(offsets(order.begin(answer(5)))).toEqual([6]);
  expect(order.gap).toBe(false);
});

test('a flood behind a hole does not grow without bound', () => {
  const order = new Order({ epoch: 'e', offset: 0 });
  for (let offset = 2; offset < 5_000; offset++) order.accept(message(offset));
  expect(order.gap).toBe(true);
  expect(offsets(order.accept(message(1)))?.length).toBeLessThanOrEqual(1_001);
});

test('the message kept for newcomers comes first, unless it was shown', () => {
  const order = new Order();
  const retained = message(3);
  expect(order.begin(answer(3, { retained }))).toEqual([{ ...retained, retained: true }]);
  expect(order.begin(answer(3, { retained }))).toEqual([]);
  expect(offsets(order.begin(answer(9, { retained: message(9) })))).toEqual([9]);
});
