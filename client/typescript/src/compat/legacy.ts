/** What older session managers left in this browser. Only reads: their keys stay as they are. */

import type { Json, JsonObject } from '../json.ts';

/** A configurator's session: the id is in a cookie, what was configured in `localStorage`. */
export interface HybridSession {
  sessionId: string;
  config?: JsonObject;
  order?: JsonObject;
}

/** A checkout with upsells, as `webseed_funnel_sessions` holds it by id; times in ISO 8601. */
export interface FunnelSession extends JsonObject {
  id: string;
  expiresAt: string;
}

/** A project form of four steps. */
export interface ProjectSession {
  sessionId?: string;
  projectData: JsonObject;
  currentStep: number;
  completedSteps: number[];
}

export interface Legacy {
  hybrid: HybridSession | null;
  funnel: FunnelSession | null;
  project: ProjectSession | null;
}

export type LegacyStore = Pick<Storage, 'getItem' | 'key' | 'length'>;

const HYBRID_ID = /(?<![a-z0-9])session-\d{10,}-[a-z0-9]+-[a-z0-9]+/;
const FUNNELS = 'webseed_funnel_sessions';

/** The id of a configurator's session in a cookie header or in any other text. */
export function hybridId(text: string): string | null {
  return HYBRID_ID.exec(text)?.[0] ?? null;
}

/** What there is. `now` is in milliseconds; what had expired by then is not found. */
export function legacy(storage: LegacyStore, cookies: string, now: number): Legacy {
  const items = objects(storage);
  return { hybrid: hybrid(items, cookies), funnel: funnel(items, now), project: project(items, now) };
}

type Items = [key: string, value: JsonObject][];

function objects(storage: LegacyStore): Items {
  const keys = Array.from({ length: storage.length }, (_, at) => storage.key(at) ?? '');
  return keys
    .filter((key) => !key.startsWith('tessera:'))
    .map((key) => [key, parsed(storage.getItem(key))] as const)
    .filter((item): item is [string, JsonObject] => isObject(item[1]));
}

/** The id of the cookie; without one (cookies live for seven days, `localStorage` does not) the newest that is stored. */
function hybrid(items: Items, cookies: string): HybridSession | null {
  const stored = items.map(([key, value]) => hybridId(`${key} ${value.sessionId ?? ''}`));
  const newest = stored.filter((id) => id !== null).sort((a, b) => created(b) - created(a))[0];
  const sessionId = hybridId(cookies) ?? newest;
  if (sessionId === undefined) return null;
  const found: HybridSession = { sessionId };
  for (const [key, value] of items) {
    const whole = value.sessionId === sessionId;
    if (!whole && !key.includes(sessionId)) continue;
    for (const kind of ['config', 'order'] as const) {
      const named = key.toLowerCase().includes(kind) ? unwrapped(value) : undefined;
      const data = isObject(value[kind]) ? value[kind] : named;
      if (data !== undefined) found[kind] = { ...found[kind], ...data };
    }
  }
  return found;
}

/** Some versions stored the data bare, others as `{sessionId, data, …}`. */
function unwrapped(value: JsonObject): JsonObject {
  if (isObject(value.data)) return value.data;
  const { sessionId: _id, timestamp: _time, ...data } = value;
  return data;
}

/** Where the old code keeps a kind of a session, and how it looks with other data in it. */
export function place(storage: LegacyStore, id: string, kind: 'config' | 'order') {
  const known = objects(storage).find(([key]) => key.includes(id) && key.toLowerCase().includes(kind));
  if (known === undefined) return { key: `${kind}_${id}`, holding: (data: JsonObject) => data };
  const [key, value] = known;
  const inner = isObject(value[kind]) ? kind : isObject(value.data) ? 'data' : null;
  return { key, holding: (data: JsonObject) => (inner === null ? data : { ...value, [inner]: data }) };
}

function created(id: string): number {
  return Number(id.split('-')[1]);
}

/** The newest one that lives. */
function funnel(items: Items, now: number): FunnelSession | null {
  const all = Object.values(items.find(([key]) => key === FUNNELS)?.[1] ?? {});
  const live = all.filter(isObject).filter((one): one is FunnelSession => lives(one, now) && isText(one.id));
  return live.sort((a, b) => time(b.updatedAt) - time(a.updatedAt))[0] ?? null;
}

/** Known by what it is, since the form's key was each page's own choice. */
function project(items: Items, now: number): ProjectSession | null {
  for (const [, value] of items) {
    if (!isObject(value.projectData) || !lives(value, now)) continue;
    const { currentStep, completedSteps, sessionId, projectData } = value;
    return {
      ...(isText(sessionId) ? { sessionId } : {}),
      projectData,
      currentStep: isStep(currentStep) ? currentStep : 1,
      completedSteps: Array.isArray(completedSteps) ? completedSteps.filter(isStep) : [],
    };
  }
  return null;
}

function lives(one: JsonObject, now: number): boolean {
  return one.expiresAt === undefined || one.expiresAt === null || time(one.expiresAt) > now;
}

function time(value: Json | undefined): number {
  return typeof value === 'number' ? value : Date.parse(String(value)) || 0;
}

function parsed(text: string | null): unknown {
  try {
    return JSON.parse(text ?? '');
  } catch {
    return null; // texts that are no JSON belong to others
  }
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isText(value: Json | undefined): value is string {
  return typeof value === 'string' && value !== '';
}

function isStep(value: Json | undefined): value is number {
  return value === 1 || value === 2 || value === 3 || value === 4;
}
