/** The configurator's session manager with its old calls, on a session of the service. */

import { alone, browserStorage } from '../draft/index.ts';
import { Problem } from '../index.ts';
import type { JsonObject } from '../json.ts';
import type { Session, SessionClient } from '../session/types.ts';
import { hybridId, type LegacyStore, legacy, place } from './legacy.ts';
import { missing, type Translated, translated } from './translate.ts';

export type Kind = 'config' | 'order';
export type Tier = 'session' | 'localStorage' | 'none';

/** What an operation did: nothing in it is personal. */
export interface LogEntry {
  operation: string;
  tier: Tier;
  milliseconds: number;
  /** Why the session did not serve it: the slug of a problem, or the error's name. */
  problem?: string;
}

export interface HybridOptions {
  client: SessionClient;
  /** By default the browser's; on a server there is none. */
  storage?: (LegacyStore & Pick<Storage, 'setItem'>) | null;
  /** Reads and writes `document.cookie`. */
  cookies?: { read: () => string; write: (cookie: string) => void } | null;
  /** Hears of every operation. By default failures go to the console. */
  log?: (entry: LogEntry) => void;
  now?: () => number;
}

const KINDS: readonly Kind[] = ['config', 'order'];
const COOKIE = 'session_id';
const WEEK_SECONDS = 604_800;
const MOVED = 'tessera:compat:moved';
const UNSENT = 'tessera:compat:unsent:';

export class HybridSessionManager {
  private readonly client: SessionClient;
  private readonly storage: HybridOptions['storage'];
  private readonly cookies: HybridOptions['cookies'];
  private readonly log: (entry: LogEntry) => void;
  private readonly now: () => number;
  private moving: Promise<void> | null = null;
  private sending: Promise<unknown> = Promise.resolve();
  private served: Tier = 'none';

  constructor(options: HybridOptions) {
    const here = typeof document !== 'undefined';
    this.client = options.client;
    this.storage = options.storage === undefined ? browserStorage() : options.storage;
    this.cookies = options.cookies === undefined ? (here ? documentCookies : null) : options.cookies;
    this.log = options.log ?? warn;
    this.now = options.now ?? Date.now;
  }

  /** The id in its old form, kept for seven days in its cookie; made anew when there is none. Empty on a server. */
  getSessionId(): string {
    if (!this.cookies) return '';
    const found = hybridId(this.cookies.read()) ?? (this.storage && this.found()?.hybrid?.sessionId);
    const id = found ?? `session-${this.now()}-${random()}-${random()}`;
    this.cookies.write(`${COOKIE}=${id}; Max-Age=${WEEK_SECONDS}; Path=/; SameSite=Lax`);
    return id;
  }

  /** Keep it where the old code finds it, then in the session. Never rejects: what the session missed follows later. */
  async saveData(id: string, data: JsonObject, kind: Kind): Promise<void> {
    this.storeOld(id, data, kind);
    this.store(UNSENT + kind, data);
    await this.tried('saveData', async () => {
      await this.moved();
      await this.send(kind, data);
    });
  }

  /** From the session; if it is out of reach or has none, as the old code had it. Null when nobody has it. */
  async getData(id: string, kind: Kind): Promise<JsonObject | null> {
    const bucket = await this.tried('getData', async () => {
      await this.ready([kind]);
      return this.client.data.load(kind);
    });
    return bucket?.data ?? this.old(id, kind);
  }

  saveConfigData(data: JsonObject): Promise<void> {
    return this.saveData(this.getSessionId(), data, 'config');
  }

  getConfigData(): Promise<JsonObject | null> {
    return this.getData(this.getSessionId(), 'config');
  }

  /** As the service says; if it is out of reach, as the old code would: an id of the last seven days. */
  async isValidSession(id: string = this.getSessionId()): Promise<boolean> {
    const known = await this.tried('isValidSession', async () => {
      await this.moved();
      return this.client.validity();
    });
    const age = this.now() - Number(id.split('-')[1]);
    return known?.valid ?? (hybridId(id) === id && age >= 0 && age < WEEK_SECONDS * 1000);
  }

  /** Where the session is, for a developer's eyes; no data. */
  debugSession(): { sessionId: string; session: string; servedBy: Tier; moved: boolean; unsent: Kind[] } {
    const unsent = KINDS.filter((kind) => this.storage?.getItem(UNSENT + kind));
    const moved = this.storage?.getItem(MOVED) != null;
    return { sessionId: this.getSessionId(), session: this.client.id, servedBy: this.served, moved, unsent };
  }

  /** Move what the old managers left into the session, once; what was saved while it was out of reach, too. */
  async migrate(): Promise<boolean> {
    return (await this.tried('migrate', () => this.ready().then(() => true))) ?? false;
  }

  // --- moving ------------------------------------------------------------------------------------

  /** The session has everything: what was here before it, and what it missed. */
  private async ready(kinds: readonly Kind[] = KINDS): Promise<void> {
    await this.moved();
    for (const kind of kinds) {
      const data = parsed(this.storage?.getItem(UNSENT + kind));
      if (data !== null) await this.send(kind, data);
    }
  }

  /** One after the other: what is saved meanwhile is still to be sent, and must not arrive first. */
  private send(kind: Kind, data: JsonObject): Promise<void> {
    const sent = this.sending.then(async () => {
      await this.client.data.save(kind, data);
      if (this.storage?.getItem(UNSENT + kind) === JSON.stringify(data)) this.store(UNSENT + kind, null);
    });
    this.sending = sent.catch(() => undefined); // whoever sent it hears of it
    return sent;
  }

  private moved(): Promise<void> {
    this.moving ??= alone('tessera:compat', () => this.move()).catch((error: unknown) => {
      this.moving = null; // the next call tries again
      throw error;
    });
    return this.moving;
  }

  private async move(): Promise<void> {
    const found = this.found();
    const old = found && translated(found);
    const session = await this.present();
    if (session === null) await this.client.create(beginning(old));
    else if (old !== null && this.storage?.getItem(MOVED) == null) await this.fill(session, old);
    this.store(MOVED, { at: new Date(this.now()).toISOString() });
  }

  private async present(): Promise<Session | null> {
    try {
      return await this.client.get();
    } catch (error) {
      if (error instanceof Problem && (error.status === 401 || error.status === 404)) return null;
      throw error;
    }
  }

  /** Add what the session does not have yet. */
  private async fill(session: Session, { fields, buckets, legacyIds }: Translated): Promise<void> {
    const lacking = missing(fields as JsonObject, session as JsonObject);
    await this.client.patch({ ...lacking, metadata: { legacyIds } });
    for (const [name, data] of Object.entries(buckets)) {
      const present = await this.client.data.load(name);
      const added = missing(data, present?.data ?? {});
      if (present === null || Object.keys(added).length > 0) await this.client.data.patch(name, added);
    }
  }

  // --- the old path ------------------------------------------------------------------------------

  private found() {
    return this.storage ? legacy(this.storage, this.cookies?.read() ?? '', this.now()) : null;
  }

  private old(id: string, kind: Kind): JsonObject | null {
    const hybrid = this.storage && legacy(this.storage, id, this.now()).hybrid;
    return hybrid?.[kind] ?? null;
  }

  private storeOld(id: string, data: JsonObject, kind: Kind): void {
    if (!this.storage) return;
    const { key, holding } = place(this.storage, id, kind);
    this.store(key, holding(data));
  }

  /** A storage that is full or forbidden leaves the session as the only tier. */
  private store(key: string, data: JsonObject | null): void {
    try {
      this.storage?.setItem(key, data === null ? '' : JSON.stringify(data));
    } catch (error) {
      this.note('store', 'none', 0, error);
    }
  }

  private async tried<T>(operation: string, act: () => Promise<T>): Promise<T | null> {
    const began = this.now();
    try {
      const result = await act();
      this.note(operation, 'session', this.now() - began);
      return result;
    } catch (error) {
      this.note(operation, this.storage ? 'localStorage' : 'none', this.now() - began, error);
      return null;
    }
  }

  private note(operation: string, tier: Tier, milliseconds: number, error?: unknown): void {
    this.served = tier;
    const problem = error instanceof Problem ? error.slug : error instanceof Error ? error.name : undefined;
    this.log({ operation, tier, milliseconds, ...(problem !== undefined && { problem }) });
  }
}

function beginning(old: Translated | null) {
  if (old === null) return { kind: 'configurator' };
  const { kind, fields, steps, buckets, legacyIds } = old;
  return { kind, ...fields, ...steps, data: buckets, metadata: { legacyIds } };
}

const documentCookies = {
  read: () => document.cookie,
  write: (cookie: string) => {
    // biome-ignore lint/suspicious/noDocumentCookie: the old code reads this cookie; Cookie Store is not everywhere
    document.cookie = cookie;
  },
};

function random(): string {
  return Math.random().toString(36).slice(2, 8).padEnd(6, '0');
}

function parsed(text: string | null | undefined): JsonObject | null {
  try {
    return text ? JSON.parse(text) : null;
  } catch {
    return null; // not ours
  }
}

function warn(entry: LogEntry): void {
  // biome-ignore lint/suspicious/noConsole: pages that pass no log still hear of failures
  if (entry.problem !== undefined) console.warn('tessera', entry);
}
