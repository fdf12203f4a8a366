/**
 * The service worker's part: the app without a network, a hint to send what waits, push notifications.
 *
 *     importScripts('/tessera/worker.js');
 *     tessera.serve({ version: '7', files: ['/', '/app.js', '/app.css'] });
 *
 * It keeps no queue: the outbox of the page does, since a worker may be ended at any time and browsers start it late.
 */

import { type Note, note } from './note.ts';

export interface WorkerOptions {
  /** Of the app; with another one the files are fetched anew and the older cache is dropped. */
  version: string;
  /** What the app needs without a network, as paths of this origin. */
  files?: string[];
  /** Where a page is shown that is not among the files, for apps with one page: `/`. */
  shell?: string;
  /** Makes another notification of a push, or none (null) while the app is in view. */
  onPush?: (note: Note) => Note | null;
}

/** Not every browser has it, so TypeScript does not know it. */
interface SyncEvent extends ExtendableEvent {
  tag: string;
}

const CACHES = 'tessera-app-';
/** Its tag, and the type of the message that it becomes; page.ts has the same. */
const SYNC = 'tessera-outbox';

/** Listen; call it while the worker's script runs. */
export function serve(options: WorkerOptions, worker: ServiceWorkerGlobalScope = scope()): void {
  const cache = CACHES + options.version;
  worker.addEventListener('install', (event) => event.waitUntil(install(worker, cache, options.files ?? [])));
  worker.addEventListener('activate', (event) => event.waitUntil(activate(worker, cache)));
  worker.addEventListener('fetch', (event) => {
    if (isOurs(event.request, worker)) event.respondWith(answer(event, cache, options, worker));
  });
  worker.addEventListener('sync', (event) => {
    const { tag, waitUntil } = event as SyncEvent;
    if (tag === SYNC) waitUntil.call(event, tell(worker, { type: SYNC }));
  });
  worker.addEventListener('push', (event) => event.waitUntil(show(event, options, worker)));
  worker.addEventListener('notificationclick', (event) => event.waitUntil(open(event, worker)));
}

async function install(worker: ServiceWorkerGlobalScope, name: string, files: string[]): Promise<void> {
  const cache = await worker.caches.open(name);
  // `reload`: a file of the HTTP cache may belong to the version before.
  await cache.addAll(files.map((file) => new Request(file, { cache: 'reload' })));
  await worker.skipWaiting();
}

async function activate(worker: ServiceWorkerGlobalScope, name: string): Promise<void> {
  const names = await worker.caches.keys();
  const older = names.filter((found) => found.startsWith(CACHES) && found !== name);
  await Promise.all(older.map((found) => worker.caches.delete(found)));
  await worker.clients.claim();
}

/** The API answers for itself: what carries a token, another origin's, and what changes something is not ours. */
function isOurs(request: Request, worker: ServiceWorkerGlobalScope): boolean {
  const { origin } = new URL(request.url);
  return request.method === 'GET' && origin === worker.location.origin && !request.headers.has('authorization');
}

/** Pages from the network as long as there is one; the app's files from the cache. Nothing else is kept. */
async function answer(
  event: FetchEvent,
  name: string,
  { shell }: WorkerOptions,
  worker: ServiceWorkerGlobalScope,
): Promise<Response> {
  const { request } = event;
  const cache = await worker.caches.open(name);
  const kept = await cache.match(request, { ignoreSearch: request.mode === 'navigate' });
  if (kept && request.mode !== 'navigate') return kept;
  try {
    return await fetch(request);
  } catch (error) {
    const page = request.mode === 'navigate' && shell !== undefined ? await cache.match(shell) : undefined;
    const found = kept ?? page;
    if (found === undefined) throw error;
    return found;
  }
}

async function tell(worker: ServiceWorkerGlobalScope, message: unknown): Promise<void> {
  for (const page of await pages(worker)) page.postMessage(message);
}

async function show(event: PushEvent, { onPush }: WorkerOptions, worker: ServiceWorkerGlobalScope): Promise<void> {
  const received = note(event.data?.text() ?? '');
  const shown = onPush ? onPush(received) : received;
  if (shown === null) return;
  const { title, ...more } = shown;
  await worker.registration.showNotification(title, more);
}

/** To the page that the notification is about, if it is one of this origin: a push may not send the user elsewhere. */
async function open(event: NotificationEvent, worker: ServiceWorkerGlobalScope): Promise<void> {
  event.notification.close();
  const wanted = new URL(event.notification.data?.url ?? '/', worker.location.origin);
  const url = wanted.origin === worker.location.origin ? wanted.href : worker.location.origin;
  const found = await pages(worker);
  const there = found.find((page) => page.url === url) ?? found[0];
  if (there === undefined) await worker.clients.openWindow(url);
  else await there.focus();
}

async function pages(worker: ServiceWorkerGlobalScope): Promise<readonly WindowClient[]> {
  return worker.clients.matchAll({ type: 'window' });
}

function scope(): ServiceWorkerGlobalScope {
  return globalThis as unknown as ServiceWorkerGlobalScope;
}
