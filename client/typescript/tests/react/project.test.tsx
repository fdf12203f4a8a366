// @vitest-environment jsdom
import { act, cleanup, render, screen } from '@testing-library/react';
import { StrictMode } from 'react';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import {
  type ProjectSession,
  SessionProvider,
  useProjectSession,
  WebSocketProvider,
} from '../../src/react/index.ts';
import { TestLive } from '../support/live.ts';
import { Service } from '../support/service.ts';

type Form = { projectName?: string; clientName?: string };

beforeEach(() => void vi.useFakeTimers());
afterEach(() => {
  cleanup();
  localStorage.clear();
  vi.useRealTimers();
});

const later = (ms: number) => act(() => vi.advanceTimersByTimeAsync(ms));

function Page({ onRender }: { onRender: (session: ProjectSession<Form>) => void }) {
  const session = useProjectSession<Form>();
  onRender(session);
  return <p>{session.loading ? 'loading' : (session.projectData.projectName ?? 'no name')}</p>;
}

async function opened(service = new Service()) {
  const live = new TestLive();
  const seen: { current: ProjectSession<Form> } = { current: null as never };
  const onRender = (session: ProjectSession<Form>) => {
    seen.current = session;
  };
  const page = render(
    <StrictMode>
      <SessionProvider client={service.client()}>
        <WebSocketProvider live={live}>
          <Page onRender={onRender} />
        </WebSocketProvider>
      </SessionProvider>
    </StrictMode>,
  );
  expect(screen.getByText('loading')).toBeDefined();
  await later(0);
  return { service, live, page, seen };
}

it('saves a second after the last change, and shows what is typed at once', async () => {
  const { service, seen } = await opened();
  act(() => seen.current.updateSession({ projectData: { projectName: 'Engine' } }));
  expect(screen.getByText('Engine')).toBeDefined();
  expect(seen.current).toMatchObject({ saved: false, sessionId: null });
  await later(1_000);
  expect(service.bucket('project')).toEqual({ projectName: 'Engine' });
  expect(seen.current).toMatchObject({ saved: true, sessionId: 'ses_1' });
});

it('restores after a reload', async () => {
  const { service, page, seen } = await opened();
  await act(() => seen.current.createSession({ projectName: 'Engine' }));
  act(() => seen.current.updateSession({ currentStep: 2, completedSteps: [1] }));
  await later(0);
  page.unmount();
  const again = await opened(service);
  expect(screen.getByText('Engine')).toBeDefined();
  expect(again.seen.current).toMatchObject({ currentStep: 2, completedSteps: [1], loading: false });
});

it('never disturbs: no call fails while the service is away, and nothing is lost when the page is closed', async () => {
  const { service, page, seen } = await opened();
  await act(() => seen.current.createSession({ projectName: 'Engine' }));
  service.down = true;
  act(() => seen.current.updateSession({ projectData: { clientName: 'Ada' } }));
  await later(3_000);
  page.unmount();
  const again = await opened(service);
  expect(again.seen.current.projectData).toEqual({ projectName: 'Engine', clientName: 'Ada' });
  service.down = false;
  act(() => void dispatchEvent(new Event('online')));
  await later(1_000);
  expect(service.bucket('project')).toEqual({ projectName: 'Engine', clientName: 'Ada' });
});

it('shows at once what another device has changed', async () => {
  const { service, live, seen } = await opened();
  await act(() => seen.current.createSession({ projectName: 'Engine' }));
  expect(live.topics).toContain('session:ses_1');
  service.elsewhere('project', { projectName: 'Loom' });
  act(() => live.deliver('session:ses_1', { change: 'data', version: 2, patch: {} }));
  await later(0);
  expect(screen.getByText('Loom')).toBeDefined();
});

it('clears with the session', async () => {
  const { service, seen } = await opened();
  await act(() => seen.current.createSession({ projectName: 'Engine' }));
  await act(() => seen.current.clearSession());
  expect(service.session).toBeNull();
  expect(localStorage).toHaveLength(0);
  expect(screen.getByText('no name')).toBeDefined();
});
