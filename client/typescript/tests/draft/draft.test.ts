import * as fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Draft } from '../../src/draft/draft.ts';
import type { Conflict } from '../../src/draft/state.ts';
import { moves, same } from '../../src/draft/steps.ts';
import { MemoryStorage, problem, Service } from '../support/service.ts';

type Form = { projectName?: string; clientName?: string; budget?: number };

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

function opened(service = new Service(), storage = new MemoryStorage(), more = {}) {
  const draft = new Draft<Form>(service.client(), { storage, ...more });
  return { draft, service, storage };
}

const later = (ms: number) => vi.advanceTimersByTimeAsync(ms);

describe('saving', () => {
  it('makes a session with the first field, a second after the last change, and patches from then on', async () => {
    const { draft, service } = opened();
    await draft.load();
    draft.update({ data: { projectName: 'E' } });
    await later(900);
    draft.update({ data: { projectName: 'Engine' } });
    await later(900);
    expect(service.created).toBe(0);
    await later(100);
    expect(service.bucket('project')).toEqual({ projectName: 'Engine' });
    draft.update({ data: { clientName: 'Ada' } });
    await later(1_000);
    expect(service.bucket('project')).toEqual({ projectName: 'Engine', clientName: 'Ada' });
    expect(service.writes).toEqual(['create', 'patch project clientName']);
    expect(draft.getSnapshot()).toMatchObject({ sessionId: 'ses_1', saved: true, problem: null });
  });

  it('makes no session for a visitor who types nothing', async () => {
    const { draft, service } = opened();
    await draft.load();
    await later(60_000);
    expect(service.created).toBe(0);
    expect(draft.getSnapshot()).toMatchObject({ loading: false, problem: null, sessionId: null });
  });

  it('goes at once at each step', async () => {
    const { draft, service } = opened();
    await draft.load();
    await draft.create({ projectName: 'Engine' });
    draft.update({ currentStep: 2, completedSteps: [1] });
    await later(0);
    expect(service.session).toMatchObject({ currentStep: 2, completedSteps: [1] });
  });

  it('never disturbs: it shows what is typed, and tries again until the service is back', async () => {
    const { draft, service } = opened();
    await draft.load();
    await draft.create({ projectName: 'Engine' });
    service.down = true;
    draft.update({ data: { clientName: 'Ada' } });
    await later(5_000);
    expect(draft.getSnapshot()).toMatchObject({ data: { clientName: 'Ada' }, saved: false });
    expect(draft.getSnapshot().problem?.name).toBe('Unreachable');
    service.down = false;
    await later(60_000);
    expect(service.bucket('project')).toMatchObject({ clientName: 'Ada' });
    expect(draft.getSnapshot()).toMatchObject({ saved: true, problem: null });
  });

  it('takes a field away with null, and forgets everything with clear', async () => {
    const { draft, service, storage } = opened();
    await draft.load();
    await draft.create({ projectName: 'Engine', budget: 3 });
    draft.update({ data: { budget: null } });
    await later(1_000);
    expect(service.bucket('project')).toEqual({ projectName: 'Engine' });
    await draft.clear();
    expect(service.session).toBeNull();
    expect(storage.length).toBe(0);
    expect(draft.getSnapshot()).toMatchObject({ sessionId: null, data: {}, currentStep: 1, saved: true });
  });
});

describe('after a reload', () => {
  it('what was typed while the service was away is there, and gets through', async () => {
    const { draft, service, storage } = opened();
    await draft.load();
    await draft.create({ projectName: 'Engine' });
    service.down = true;
    draft.update({ data: { clientName: 'Ada' }, currentStep: 3, completedSteps: [1, 2] });

    const again = opened(service, storage).draft;
    await again.load();
    expect(again.getSnapshot()).toMatchObject({
      data: { projectName: 'Engine', clientName: 'Ada' },
      currentStep: 3,
      completedSteps: [1, 2],
    });
    service.down = false;
    await again.refresh();
    await later(0);
    expect(service.bucket('project')).toEqual({ projectName: 'Engine', clientName: 'Ada' });
    expect(service.session).toMatchObject({ currentStep: 3, completedSteps: [1, 2] });
    expect(again.getSnapshot().saved).toBe(true);
  });

  it('a form that begins empty overwrites nothing', async () => {
    const { service, storage, draft } = opened();
    await draft.load();
    await draft.create({ projectName: 'Engine', clientName: 'Ada' });
    const again = opened(service, storage).draft;
    again.update({ data: { projectName: '', clientName: '', budget: 3 } });
    await again.load();
    again.update({ data: { projectName: '', clientName: '' } });
    await later(2_000);
    expect(service.bucket('project')).toEqual({ projectName: 'Engine', clientName: 'Ada', budget: 3 });
  });

  it('the user may still empty a field', async () => {
    const { service, storage, draft } = opened();
    await draft.load();
    await draft.create({ projectName: 'Engine', clientName: 'Ada' });
    const again = opened(service, storage).draft;
    await again.load();
    again.update({ data: { projectName: '', clientName: 'Ada' } });
    await later(1_000);
    expect(service.bucket('project')).toEqual({ projectName: '', clientName: 'Ada' });
  });

  it('a session that could not be reached is not replaced', async () => {
    const { service, draft } = opened();
    await draft.load();
    await draft.create({ projectName: 'Engine' });
    service.down = true;
    const again = opened(service).draft; // the browser has its cookie, and nothing else
    await again.load();
    again.update({ data: { clientName: 'Ada', projectName: '' } });
    await later(3_000);
    service.down = false;
    await later(60_000);
    expect(service.created).toBe(1);
    expect(service.bucket('project')).toEqual({ projectName: 'Engine', clientName: 'Ada' });
    expect(again.getSnapshot()).toMatchObject({ sessionId: 'ses_1', data: service.bucket('project') });
  });

  it('an expired session is followed by a new one, with what was never saved and nothing else', async () => {
    const { service, storage, draft } = opened();
    await draft.load();
    await draft.create({ projectName: 'Engine' });
    service.expire();
    draft.update({ data: { budget: 3 } });
    const again = opened(service, storage).draft;
    await again.load();
    await later(1_000);
    expect(service.bucket('project')).toEqual({ budget: 3 });
    expect(again.getSnapshot()).toMatchObject({ sessionId: 'ses_2', saved: true });
  });
});

describe('what is cleared while the service is away', () => {
  async function cleared() {
    const { draft, service, storage } = opened();
    await draft.load();
    await draft.create({ projectName: 'Engine' });
    service.down = true;
    await draft.clear();
    expect(draft.getSnapshot()).toMatchObject({ sessionId: null, data: {}, saved: true });
    expect(service.session?.id).toBe('ses_1');
    return { draft, service, storage };
  }

  it('is deleted when it is back', async () => {
    const { service, storage } = await cleared();
    service.down = false;
    await later(60_000);
    expect([service.session, storage.length]).toEqual([null, 0]);
  });

  it('does not come back with the next page, and what is typed there goes into a new session', async () => {
    const { service, storage } = await cleared();
    service.down = false;
    const again = opened(service, storage).draft;
    await again.load();
    expect(again.getSnapshot()).toMatchObject({ sessionId: null, data: {}, loading: false });
    again.update({ data: { clientName: 'Ada' } });
    await later(2_000);
    expect(service.bucket('project')).toEqual({ clientName: 'Ada' });
    expect(again.getSnapshot()).toMatchObject({ sessionId: 'ses_2', saved: true });
  });

  it('is deleted also when it is cleared once more before that', async () => {
    const { draft, service, storage } = await cleared();
    await draft.clear();
    service.down = false;
    await later(60_000);
    expect([service.session, storage.length]).toEqual([null, 0]);
  });

  it('does not keep the next form from being saved when its deletion is refused', async () => {
    const service = new Service();
    const client = service.client();
    const draft = new Draft<Form>(client, { storage: new MemoryStorage() });
    await draft.load();
    await draft.create({ projectName: 'Engine' });
    Object.assign(client, { delete: () => Promise.reject(problem(403, 'forbidden')) });
    await draft.clear();
    draft.update({ data: { clientName: 'Ada' } });
    await later(2_000);
    expect(service.bucket('project')).toMatchObject({ clientName: 'Ada' });
    expect(draft.getSnapshot()).toMatchObject({ saved: true, problem: null });
  });
});

describe('two devices', () => {
  it('change two fields and keep both', async () => {
    const { draft, service } = opened();
    await draft.load();
    await draft.create({ projectName: 'Engine' });
    await draft.refresh();
    service.elsewhere('project', { clientName: 'Ada' });
    draft.update({ data: { budget: 3 } });
    await later(1_000);
    expect(service.bucket('project')).toEqual({ projectName: 'Engine', clientName: 'Ada', budget: 3 });
    expect(draft.getSnapshot().data).toEqual(service.bucket('project'));
  });

  it.each(['yours', 'theirs'] as const)('change one field: %s stays, and the other is shown', async (winner) => {
    const { draft, service } = opened(new Service(), new MemoryStorage(), { onConflict: () => winner });
    await draft.load();
    await draft.create({ projectName: 'Engine' });
    await draft.refresh();
    service.elsewhere('project', { projectName: 'Loom' });
    draft.update({ data: { projectName: 'Mill', budget: 3 } });
    await later(1_000);
    const kept = winner === 'yours' ? 'Mill' : 'Loom';
    expect(service.bucket('project')).toEqual({ projectName: kept, budget: 3 });
    const conflicts: Conflict[] = [{ field: 'projectName', yours: 'Mill', theirs: 'Loom' }];
    expect(draft.getSnapshot()).toMatchObject({ conflicts, saved: true, data: { projectName: kept } });
  });

  it('an open page takes everything it shows into a new session when the old one ends', async () => {
    const { draft, service } = opened();
    await draft.load();
    await draft.create({ projectName: 'Engine' });
    service.expire();
    draft.update({ data: { budget: 3 } });
    await later(2_000);
    expect(service.bucket('project')).toEqual({ projectName: 'Engine', budget: 3 });
    expect(draft.getSnapshot()).toMatchObject({ sessionId: 'ses_2', saved: true });
  });

  it('a page shows what another one saved, before it hears of it', async () => {
    const { draft, service, storage } = opened();
    await draft.load();
    await draft.create({ projectName: 'Engine' });
    draft.update({ data: { projectName: 'Loom' } });
    const again = opened(service, storage).draft; // loaded again, while the page before has yet to save
    await again.load();
    again.update({ data: { projectName: 'Mill' } });
    await later(1_500);
    expect(service.bucket('project')).toEqual({ projectName: 'Mill' });
    expect(again.getSnapshot()).toMatchObject({ data: { projectName: 'Mill' }, saved: true });
    expect(draft.getSnapshot().data).toEqual({ projectName: 'Mill' });
  });

  it.each(['load', 'patch'] as const)(
    'the late answer of a %s takes back nothing that was saved meanwhile',
    async (call) => {
      const { draft: one, service, storage } = opened();
      await one.load();
      await one.create({ projectName: 'Engine' });
      await one.refresh();
      const client = service.client();
      const answers = client.data[call].bind(client.data) as (...args: unknown[]) => Promise<never>;
      const slow = async (...args: unknown[]) => {
        const answer = await answers(...args);
        await later(5_000);
        return answer;
      };
      const two = new Draft<Form>(client, { storage });
      if (call === 'patch') await two.load();
      Object.assign(client.data, { [call]: slow });
      if (call === 'patch') two.update({ data: { clientName: 'Ada' } });
      const asked = call === 'patch' ? two.flush() : two.load();
      await later(0); // the service has answered
      one.update({ data: { projectName: 'Loom' }, currentStep: 2, completedSteps: [1] });
      await one.flush();
      await asked;
      const saved = { projectName: 'Loom', ...(call === 'patch' && { clientName: 'Ada' }) };
      expect(service.bucket('project')).toEqual(saved);
      const shown = { data: saved, saved: true, currentStep: 2, completedSteps: [1] };
      for (const draft of [two, one]) {
        draft.update({});
        expect(draft.getSnapshot()).toMatchObject(shown);
      }
    },
  );

  it('what another page clears while a save is under way stays cleared, and what is typed then is kept', async () => {
    const { draft: one, service, storage } = opened();
    await one.load();
    await one.create({ projectName: 'Engine' });
    const two = opened(service, storage).draft;
    await two.load();
    one.update({ data: { projectName: 'Loom', budget: 3 } });
    const saving = one.flush();
    await two.clear();
    two.update({ data: { projectName: 'Loom' } });
    await saving;
    await later(3_000);
    expect(service.bucket('project')).toEqual({ projectName: 'Loom' });
    for (const draft of [one, two]) {
      draft.update({});
      expect(draft.getSnapshot()).toMatchObject({
        sessionId: 'ses_2',
        data: { projectName: 'Loom' },
        saved: true,
      });
    }
  });

  it('two tabs that begin at the same time share one session', async () => {
    const service = new Service();
    const storage = new MemoryStorage();
    const [one, two] = [opened(service, storage).draft, opened(service, storage).draft];
    await Promise.all([one.load(), two.load()]);
    one.update({ data: { projectName: 'Engine' } });
    two.update({ data: { clientName: 'Ada' } });
    await later(3_000);
    expect(service.bucket('project')).toEqual({ projectName: 'Engine', clientName: 'Ada' });
    expect(service.session?.id).toBe(one.getSnapshot().sessionId);
    expect(two.getSnapshot().sessionId).toBe(one.getSnapshot().sessionId);
  });
});

it('nothing typed is lost, whatever fails and however often the page is loaded again', async () => {
  const act = fc.oneof(
    fc.record({ field: fc.constantFrom('projectName', 'clientName'), value: fc.string({ minLength: 1 }) }),
    fc.constantFrom('down', 'up', 'reload', 'wait', 'step'),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(act, { maxLength: 25 }), async (acts) => {
      const service = new Service();
      const storage = new MemoryStorage();
      const typed: Record<string, string> = {};
      const completedSteps: number[] = [];
      let draft = opened(service, storage).draft;
      await draft.load();
      for (const one of acts) {
        if (typeof one === 'object') {
          typed[one.field] = one.value;
          draft.update({ data: { [one.field]: one.value } });
        } else if (one === 'reload') {
          draft = opened(service, storage).draft;
          await draft.load();
        } else if (one === 'step') {
          completedSteps.push(completedSteps.length + 1);
          draft.update({ currentStep: completedSteps.length + 1, completedSteps: [...completedSteps] });
        } else if (one === 'wait') await later(1_500);
        else service.down = one === 'down';
        const currentStep = completedSteps.length + 1;
        expect(draft.getSnapshot()).toMatchObject({ currentStep, completedSteps });
        expect(draft.getSnapshot().data).toEqual(typed);
      }
      service.down = false;
      await draft.refresh();
      await later(200_000);
      expect(service.bucket('project') ?? {}).toEqual(typed);
      if (completedSteps.length > 0) expect(service.session).toMatchObject({ completedSteps });
    }),
    { numRuns: 60 },
  );
});

it('steps are taken one at a time, and end where the user is', () => {
  const completed = fc.uniqueArray(fc.integer({ min: 1, max: 4 }));
  const steps = fc.record({ currentStep: fc.integer({ min: 1, max: 4 }), completedSteps: completed });
  const ordered = ({ currentStep, completedSteps }: { currentStep: number; completedSteps: number[] }) => ({
    currentStep,
    completedSteps: [...completedSteps].sort(),
  });
  fc.assert(
    fc.property(steps, steps, (from, to) => {
      const way = moves(ordered(from), ordered(to));
      const end = way.at(-1) ?? ordered(from);
      expect(end.currentStep).toBe(to.currentStep);
      for (const step of to.completedSteps) expect(end.completedSteps).toContain(step);
      let at = from.currentStep;
      for (const move of way) {
        expect(move.currentStep - at).toBeLessThanOrEqual(1);
        at = move.currentStep;
      }
      expect(same(ordered(from), ordered(from))).toBe(true);
    }),
  );
});
