import { renderToString } from 'react-dom/server';
import { expect, it } from 'vitest';
import {
  OfflineStatus,
  PoolMetrics,
  SessionProvider,
  useProjectSession,
  useWebSocketContext,
  useWebSocketPool,
  WebSocketMetrics,
  WebSocketProvider,
} from '../../src/react/index.ts';
import { Service } from '../support/service.ts';

function Page() {
  const { projectData, loading } = useProjectSession<{ projectName?: string }>();
  const { isConnected, agents } = useWebSocketContext();
  const { metrics, getConnectionCount } = useWebSocketPool({ urls: ['wss://one'] });
  return (
    <main>
      <p>{`${projectData.projectName ?? 'no name'} ${loading} ${isConnected} ${agents.length} ${getConnectionCount()}`}</p>
      <OfflineStatus />
      <WebSocketMetrics />
      <PoolMetrics metrics={metrics} />
    </main>
  );
}

it('everything renders on a server: nothing connects, nothing is read, the form says that it loads', () => {
  expect(typeof document).toBe('undefined');
  const service = new Service();
  const html = renderToString(
    <SessionProvider client={service.client()}>
      <WebSocketProvider url="wss://one">
        <Page />
      </WebSocketProvider>
    </SessionProvider>,
  );
  expect(html).toContain('no name true false 0 0');
  expect(html).toContain('Online');
  expect(html).toContain('<dt>Healthy</dt><dd>0</dd>');
  expect(service.writes).toEqual([]);
});
