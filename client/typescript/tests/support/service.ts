/** The service as a client sees it, in memory: one session, its buckets with versions and three-way merges. */

import { Problem, Unreachable } from '../../src/index.ts';
import type { Json, JsonObject } from '../../src/json.ts';
import type {
  Bucket,
  BucketClient,
  CreateSession,
  Session,
  SessionClient,
  SessionPatch,
} from '../../src/session/types.ts';

export class Service {
  session: Session | null = null;
  created = 0;
  /** Every call that changed something, in order. */
  readonly writes: string[] = [];
  /** Nobody hears; what is sent is lost. */
  down = false;
  /** So many more answers, then nobody hears. */
  downAfter = Number.POSITIVE_INFINITY;
  private buckets = new Map<string, { version: number; history: JsonObject[] }>();

  /** What a bucket holds; null for none. */
  bucket(name: string): JsonObject | null {
    return this.buckets.get(name)?.history.at(-1) ?? null;
  }

  /** Another device changes a field. */
  elsewhere(name: string, patch: JsonObject): void {
    this.write(name, merged(this.bucket(name) ?? {}, patch));
  }

  /** The session's time is over. */
  expire(): void {
    this.session = null;
    this.buckets.clear();
  }

  client(): SessionClient {
    const service = this;
    const partial = {
      get id() {
        return service.session?.id ?? 'me';
      },
      use: () => undefined,
      create: (body?: CreateSession) => this.answer('create', () => this.begin(body ?? {})),
      get: () => this.answer(null, () => this.live()),
      patch: (patch: SessionPatch) => this.answer('patch', () => Object.assign(this.live(), patch)),
      validity: () => this.answer(null, () => ({ valid: this.session !== null })),
      delete: () => this.answer('delete', () => this.expire()),
      data: this.data(),
    };
    return partial as unknown as SessionClient;
  }

  private data(): BucketClient {
    const load = (name: string) => this.answer(null, () => this.read(name));
    const save = (name: string, data: JsonObject) => this.answer(`save ${name}`, () => this.write(name, data));
    const patch = (name: string, changes: JsonObject, options: { baseVersion?: number } = {}) =>
      this.answer(`patch ${name} ${Object.keys(changes).join()}`, () => {
        this.refuseConflicts(name, changes, options.baseVersion);
        return this.write(name, merged(this.bucket(name) ?? {}, changes));
      });
    return { load, save, patch } as unknown as BucketClient;
  }

  private async answer<T>(write: string | null, act: () => T): Promise<T> {
    await Promise.resolve();
    if (this.down || this.downAfter-- <= 0) throw new Unreachable('no answer');
    const result = act();
    if (write !== null) this.writes.push(write);
    return structuredClone(result);
  }

  private begin(body: CreateSession): Session {
    this.created += 1;
    const { data = {}, ...fields } = body;
    this.buckets.clear();
    for (const [name, value] of Object.entries(data ?? {})) this.write(name, value as JsonObject);
    this.session = { id: `ses_${this.created}`, ...fields } as unknown as Session;
    return this.session;
  }

  private live(): Session {
    if (this.session === null) throw problem(401, 'token-missing');
    return this.session;
  }

  private read(name: string): Bucket | null {
    this.live();
    const found = this.buckets.get(name);
    const data = found?.history.at(-1);
    if (!found || !data) return null;
    return { bucket: name, data, version: found.version, updatedAt: '', expiresAt: null };
  }

  private write(name: string, data: JsonObject): Bucket {
    const found = this.buckets.get(name) ?? { version: 0, history: [{}] };
    found.version += 1;
    found.history.push(structuredClone(data));
    this.buckets.set(name, found);
    return { bucket: name, data, version: found.version, updatedAt: '', expiresAt: null };
  }

  private refuseConflicts(name: string, patch: JsonObject, baseVersion: number | undefined): void {
    const found = this.buckets.get(name);
    this.live();
    if (baseVersion === undefined || !found) return;
    const [base = {}, theirs = {}] = [found.history[baseVersion], found.history.at(-1)];
    const both = Object.keys(patch).filter(
      (field) => !same(base[field], theirs[field]) && !same(theirs[field], patch[field]),
    );
    const conflicts = both.map((field) => ({ pointer: `/${field}`, yours: patch[field], theirs: theirs[field] }));
    if (conflicts.length > 0) throw problem(409, 'conflict', { conflicts: conflicts as unknown as Json });
  }
}

export function problem(status: number, slug: string, more: JsonObject = {}): Problem {
  return new Problem({ type: `/problems/${slug}`, title: slug, status, ...more });
}

function merged(data: JsonObject, patch: JsonObject): JsonObject {
  const next = { ...data };
  for (const [name, value] of Object.entries(patch)) {
    if (value === null) delete next[name];
    else next[name] = value;
  }
  return next;
}

function same(one: Json | undefined, other: Json | undefined): boolean {
  return JSON.stringify(one ?? null) === JSON.stringify(other ?? null);
}

/** `localStorage` in memory; `full` refuses to write, as browsers do. */
export class MemoryStorage {
  full = false;
  private readonly items: Map<string, string>;

  constructor(items: Record<string, unknown> = {}) {
    const text = (value: unknown) => (typeof value === 'string' ? value : JSON.stringify(value));
    this.items = new Map(Object.entries(items).map(([key, value]) => [key, text(value)]));
  }

  get length(): number {
    return this.items.size;
  }

  key(at: number): string | null {
    return [...this.items.keys()][at] ?? null;
  }

  getItem(key: string): string | null {
    return this.items.get(key) ?? null;
  }

  setItem(key: string, text: string): void {
    if (this.full) throw new DOMException('full', 'QuotaExceededError');
    this.items.set(key, text);
  }

  removeItem(key: string): void {
    this.items.delete(key);
  }
}
