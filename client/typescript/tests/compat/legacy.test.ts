import { describe, expect, it } from 'vitest';
import { legacy } from '../../src/compat/index.ts';
import { MemoryStorage } from '../support/service.ts';

const NOW = Date.parse('2026-11-20T12:00:00Z');
const ID = 'session-1795168800000-abc123-def456';

const funnel = (id: string, day: number, more = {}) => ({
  id,
  email: 'ada@example.org',
  products: [],
  status: 'initiated',
  currentStep: 'checkout',
  updatedAt: `2026-11-${day}T08:00:00Z`,
  expiresAt: '2026-11-21T08:00:00Z',
  ...more,
});

describe('what older managers left is found', () => {
  it.each([
    ['bare', { [`config_${ID}`]: { colour: 'red' } }],
    ['wrapped', { [`config_${ID}`]: { sessionId: ID, data: { colour: 'red' }, timestamp: 1 } }],
    ['in one item', { configurator: { sessionId: ID, config: { colour: 'red' } } }],
  ])('a configuration, %s', (_, items) => {
    const found = legacy(new MemoryStorage(items), `theme=dark; session_id=${ID}`, NOW);
    expect(found.hybrid).toEqual({ sessionId: ID, config: { colour: 'red' } });
  });

  it('a configuration whose cookie has gone: the newest', () => {
    const older = 'session-1795000000000-aaa111-bbb222';
    const items = { [`config_${older}`]: { colour: 'blue' }, [`order_${ID}`]: { amount: 1 } };
    expect(legacy(new MemoryStorage(items), '', NOW).hybrid).toEqual({ sessionId: ID, order: { amount: 1 } });
  });

  it('the newest checkout that lives', () => {
    const ended = funnel('ws_3', 20, { expiresAt: '2026-11-20T11:00:00Z' });
    const items = { webseed_funnel_sessions: { ws_1: funnel('ws_1', 18), ws_2: funnel('ws_2', 19), ws_3: ended } };
    expect(legacy(new MemoryStorage(items), '', NOW).funnel?.id).toBe('ws_2');
  });

  it('a project form, whatever its key', () => {
    const stored = {
      sessionId: 'u-1',
      projectData: { projectName: 'Engine' },
      currentStep: 2,
      completedSteps: [1],
    };
    const found = legacy(new MemoryStorage({ anything: stored }), '', NOW);
    expect(found.project).toEqual(stored);
  });

  it('nothing in what belongs to others, is damaged or has expired', () => {
    const items = {
      theme: 'dark',
      cart: '{"broken',
      list: [1],
      form: { projectData: { a: 1 }, expiresAt: '2026-11-19T12:00:00Z' },
    };
    const found = legacy(new MemoryStorage(items), 'session_id=session-x', NOW);
    expect(found).toEqual({ hybrid: null, funnel: null, project: null });
  });
});
