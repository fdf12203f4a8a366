/** A form that saves itself, with messages beside it. The query says where the service is and on which topic. */

import { createRoot } from 'react-dom/client';
import { createSessionClient, Problem } from '../../src/index.ts';
import {
  OfflineStatus,
  SessionProvider,
  useLive,
  useProjectSession,
  useWebSocketContext,
  WebSocketMetrics,
  WebSocketProvider,
} from '../../src/react/index.ts';
import { hint, register } from '../../src/worker/page.ts';

const query = new URLSearchParams(location.search);
const given = (name: string) => query.get(name) ?? '';
const client = createSessionClient({ baseUrl: given('http') });
const FIELDS = ['projectName', 'clientName'] as const;
type Form = Partial<Record<(typeof FIELDS)[number], string>>;

function Page() {
  const form = useProjectSession<Form>();
  const { isConnected, events, sendMessage } = useWebSocketContext();
  const leader = useLive()?.status.getSnapshot().leader ?? false;
  const send = (data: FormData) => void sendMessage({ type: 'said', data: String(data.get('text')) });
  return (
    <main data-loading={form.loading} data-saved={form.saved} data-connected={isConnected} data-leader={leader}>
      <h1>Project</h1>
      {FIELDS.map((field) => (
        <label key={field}>
          {field}{' '}
          <input
            value={form.projectData[field] ?? ''}
            onChange={({ target }) => form.updateSession({ projectData: { [field]: target.value } })}
          />
        </label>
      ))}
      <form action={send}>
        <label>
          message <input name="text" />
        </label>
      </form>
      <ol>
        {events.map((event) => (
          <li key={event.messageId}>{String(event.data)}</li>
        ))}
      </ol>
      <OfflineStatus />
      <WebSocketMetrics />
      <output>{form.sessionId}</output>
    </main>
  );
}

/** A session from the beginning, for the socket; without the service there is a form all the same. */
async function begin(): Promise<void> {
  try {
    await client.get();
  } catch (error) {
    if (error instanceof Problem && (error.status === 401 || error.status === 404))
      await client.create({ kind: 'form' });
  }
}

function Hinted() {
  const live = useLive();
  if (live) void register('/sw.js').then((registration) => registration && hint(registration, live));
  return null;
}

await begin();
createRoot(document.getElementById('root') as HTMLElement).render(
  <SessionProvider client={client}>
    <WebSocketProvider url={given('websocket')} topic={given('topic')}>
      <Page />
      <Hinted />
    </WebSocketProvider>
  </SessionProvider>,
);
