import { expect, test } from 'vitest';
import { Problem } from '../src/index.ts';

test('a problem is known by its slug, its status and its members', () => {
  const problem = new Problem({ type: '/problems/conflict', title: 'Conflict', status: 409, conflicts: [] });
  expect([problem.slug, problem.status, problem.body.conflicts]).toEqual(['conflict', 409, []]);
  expect(problem).toBeInstanceOf(Error);
});

test('the slug is the same under a path prefix', () => {
  expect(new Problem({ type: 'https://example.org/api/problems/session-ended' }).slug).toBe('session-ended');
});

test('how long to wait is told by the header, or else by the body', () => {
  expect(new Problem({ status: 429 }, 429, 3).retryAfter).toBe(3);
  expect(new Problem({ status: 429, retryAfter: 5 }).retryAfter).toBe(5);
  expect(new Problem({ status: 429 }).retryAfter).toBeNull();
});
