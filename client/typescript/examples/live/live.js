// A note that saves itself, and messages that arrive once and in order, in every tab. No framework.
import { Draft } from '../../dist/draft.js';
import { createLive, createSessionClient } from '../../dist/index.js';

const query = new URLSearchParams(location.search);
const session = createSessionClient({ baseUrl: query.get('http') });

// The session of this browser's cookie, or a new one. Without the service, the note is there all the same.
try {
  await session.get();
} catch (error) {
  if (error.status === 401 || error.status === 404) await session.create({ kind: 'form' });
}

const live = createLive({ url: query.get('websocket'), ticket: () => session.ticket() });
const note = new Draft(session, { bucket: 'note' });

const part = (id) => document.getElementById(id);
const noteForm = part('note');
const sayForm = part('say');

// The note: each key press goes into the draft; what the draft has is shown.
noteForm.addEventListener('input', ({ target }) => note.update({ data: { [target.name]: target.value } }));
note.subscribe(() => {
  const { data, loading, saved, sessionId, problem } = note.getSnapshot();
  for (const name of ['title', 'text']) {
    if (noteForm[name].value !== (data[name] ?? '')) noteForm[name].value = data[name] ?? '';
  }
  const kept = `kept in this browser, saved ${problem ? 'when the service is back' : 'in a second'}`;
  part('saved').textContent = loading ? 'looking for what was saved' : saved ? `saved in ${sessionId}` : kept;
  follow(sessionId);
});

// What other tabs and devices change comes as a message of the session's own topic.
let followed = null;
function follow(sessionId) {
  if (sessionId === followed) return;
  followed = sessionId;
  live.subscribe(`session:${sessionId}`, () => note.refresh());
}

// The messages: a topic that every session may read and write.
live.subscribe('app:demo', ({ data }) => {
  const line = document.createElement('li');
  line.textContent = data;
  part('said').append(line);
});
sayForm.addEventListener('submit', (event) => {
  event.preventDefault();
  live.publish('app:demo', sayForm.text.value); // kept until the service has it, also over a reload
  sayForm.reset();
});

function showStatus() {
  const { state, leader } = live.status.getSnapshot();
  const { size } = live.outbox.getSnapshot();
  const waiting = size === 0 ? '' : `, ${size} to send`;
  const holder = state !== 'open' ? '' : leader ? ', this tab holds the socket' : ', another tab holds the socket';
  part('status').textContent = state + holder + waiting;
}
live.status.subscribe(showStatus);
live.outbox.subscribe(showStatus);

note.start();
showStatus();
