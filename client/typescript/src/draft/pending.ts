/** What of a draft is not saved yet, kept where it survives a reload. */

import type { Json, JsonObject } from '../json.ts';

/** The part of `localStorage` that is used. */
export type TextStore = Pick<Storage, 'getItem' | 'setItem' | 'removeItem' | 'key' | 'length'>;

/** A field as the user left it; null takes it away. `version` is the bucket's that the user saw, null for none. */
export interface Edit {
  value: Json;
  version: number | null;
}

/**
 * One item of the storage for each edited field, so that two tabs that edit two fields never write the same item.
 * A storage that is full or forbidden is replaced by memory: typing goes on, a reload forgets.
 */
export class Pending {
  private readonly memory = new Map<string, string>();
  private readonly storage: TextStore | null;
  private readonly prefix: string;

  constructor(storage: TextStore | null, name: string) {
    this.storage = storage;
    this.prefix = `tessera:draft:${name}:`;
  }

  /** The edits by field. */
  edits(): Record<string, Edit> {
    const start = `${this.prefix}field:`;
    const found = this.keys().filter((key) => key.startsWith(start));
    const edits = found.map((key) => [key.slice(start.length), this.read<Edit>(key)] as const);
    return Object.fromEntries(edits.filter((pair): pair is [string, Edit] => pair[1] !== null));
  }

  edit(field: string, edit: Edit): void {
    this.write(`${this.prefix}field:${field}`, edit);
  }

  /** Forget edits that have become part of `version`; one that was changed meanwhile stays, on that version. */
  saved(sent: Record<string, Edit>, version: number | null): void {
    const now = this.edits();
    for (const [field, { value }] of Object.entries(sent)) {
      const edit = now[field];
      if (edit && JSON.stringify(edit.value) !== JSON.stringify(value)) this.edit(field, { ...edit, version });
      else this.drop(field);
    }
  }

  drop(field: string): void {
    this.remove(`${this.prefix}field:${field}`);
  }

  /** Other things to remember under the draft's name: what was last read, the steps. */
  recall<T>(part: string): T | null {
    return this.read<T>(this.prefix + part);
  }

  remember(part: string, value: object | null): void {
    if (value === null) this.remove(this.prefix + part);
    else this.write(this.prefix + part, value);
  }

  clear(): void {
    for (const key of this.keys()) this.remove(key);
  }

  /** Whether a key of the storage belongs to this draft. */
  owns(key: string | null): boolean {
    return key === null || key.startsWith(this.prefix);
  }

  private keys(): string[] {
    const stored = attempt(() =>
      Array.from({ length: this.storage?.length ?? 0 }, (_, at) => this.storage?.key(at) ?? ''),
    );
    return [...new Set([...(stored ?? []), ...this.memory.keys()])].filter((key) => key.startsWith(this.prefix));
  }

  private read<T>(key: string): T | null {
    const text = this.memory.get(key) ?? attempt(() => this.storage?.getItem(key)) ?? null;
    return text === null ? null : ((attempt(() => JSON.parse(text)) as T | undefined) ?? null);
  }

  private write(key: string, value: object): void {
    const text = JSON.stringify(value);
    const stored = attempt(() => {
      this.storage?.setItem(key, text);
      return this.storage !== null;
    });
    if (stored) this.memory.delete(key);
    else this.memory.set(key, text);
  }

  private remove(key: string): void {
    this.memory.delete(key);
    attempt(() => this.storage?.removeItem(key));
  }
}

/** Data with the edits on it. */
export function withEdits(data: JsonObject, edits: Record<string, Edit>): JsonObject {
  const shown = { ...data };
  for (const [field, { value }] of Object.entries(edits)) {
    if (value === null) delete shown[field];
    else shown[field] = value;
  }
  return shown;
}

/** Browsers forbid storage in private windows and sandboxed frames, and damaged items are no drafts. */
function attempt<T>(act: () => T): T | undefined {
  try {
    return act();
  } catch {
    return undefined;
  }
}
