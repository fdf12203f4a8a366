/** The page's part of the service worker. All of it is safe where there is none. */

import type { Live } from '../live/types.ts';
import type { components } from '../openapi.ts';
import type { SessionClient } from '../session/types.ts';

type Schemas = components['schemas'];
/** A kind of change of a session. */
type Told = Schemas['Told'];

/** Its tag, and the type of the message that it sends; worker.ts has the same. */
const SYNC = 'tessera-outbox';

interface WithSync {
  sync?: { register(tag: string): Promise<void> };
}

/** Register the worker of `url`; null where the browser has none or refuses. */
export async function register(url: string): Promise<ServiceWorkerRegistration | null> {
  if (typeof navigator === 'undefined' || !('serviceWorker' in navigator)) return null;
  try {
    await navigator.serviceWorker.register(url);
    return await navigator.serviceWorker.ready;
  } catch {
    return null; // private windows, insecure addresses: the app works without
  }
}

/**
 * Let the worker remind `live` of what waits in its outbox. Only a hint: browsers give it late or never, and the outbox
 * sends by itself when the network, the page or the socket comes back. Returns how to stop.
 */
export function hint(registration: ServiceWorkerRegistration, live: Pick<Live, 'outbox' | 'connect'>): () => void {
  const { sync } = registration as WithSync;
  let waiting = false;
  const look = () => {
    const filled = live.outbox.getSnapshot().size > 0;
    if (filled && !waiting) sync?.register(SYNC).catch(() => undefined); // not allowed: no hint
    waiting = filled;
  };
  const stop = live.outbox.subscribe(look);
  look();
  const heard = (event: MessageEvent) => {
    if (event.data?.type === SYNC) live.connect();
  };
  navigator.serviceWorker.addEventListener('message', heard);
  return () => {
    stop();
    navigator.serviceWorker.removeEventListener('message', heard);
  };
}

/**
 * Ask for notifications and subscribe to pushes. Call it from a click. `key` is the service's public VAPID key. Returns
 * what the service needs to know, null when the user declines.
 */
export async function subscribeToPush(
  registration: ServiceWorkerRegistration,
  key: string,
): Promise<PushSubscriptionJSON | null> {
  if ((await Notification.requestPermission()) !== 'granted') return null;
  const options = { userVisibleOnly: true, applicationServerKey: key };
  const known = await registration.pushManager.getSubscription();
  return (known ?? (await registration.pushManager.subscribe(options))).toJSON();
}

/**
 * Have the service push the session's `changes`, by default `messages`, to this browser while no device is connected.
 * Call it from a click; once more does no harm. Returns the registration, by whose id
 * `DELETE /sessions/{id}/push-subscriptions/{subscriptionId}` ends it; null when the user declines.
 */
export async function registerForPush(
  registration: ServiceWorkerRegistration,
  session: Pick<SessionClient, 'id' | 'request'>,
  changes: Told[] = ['messages'],
): Promise<Schemas['Registered'] | null> {
  // Before anything is waited for: browsers forget the click.
  if ((await Notification.requestPermission()) !== 'granted') return null;
  const path = `/sessions/${encodeURIComponent(session.id)}/push-subscriptions`;
  const { publicKey } = await session.request<Schemas['PushSubscriptions']>('GET', path);
  const subscription = await subscribeToPush(registration, publicKey);
  return subscription && session.request('POST', path, { body: { ...subscription, changes } });
}
