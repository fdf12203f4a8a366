/** Requests: who asks, with which tokens, and how often. */

import type { JsonObject } from '../json.ts';
import { Problem, Unreachable } from '../problems.ts';
import type { RequestOptions, SessionOptions, Tokens } from './types.ts';

/** One request ends after this (ms), answered or not. */
const TIMEOUT = 15_000;
const TRIES = 4;
const FIRST_WAIT = 200;
/** Who is told to wait longer than this (s) is told so at once. */
const PATIENCE = 20;

/** An access token with less than this left (ms) is renewed before it is used. */
const MARGIN = 30_000;

const GATEWAY = [429, 502, 503, 504];

const sleep = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds));

export class Http {
  #tokens: Pick<Tokens, 'accessToken' | 'refreshToken'> | null;
  #expires = Number.POSITIVE_INFINITY;
  #refreshing: Promise<void> | null = null;
  readonly #cookie: boolean;

  constructor(private readonly options: SessionOptions) {
    this.#tokens = options.tokens ?? null;
    const isPage = 'document' in globalThis && !options.tokens;
    this.#cookie = (options.credentials ?? (isPage ? 'cookie' : 'bearer')) === 'cookie';
  }

  /** Tokens that came with an answer. Who has the cookie forgets them: both at once look like a theft. */
  take(tokens: Tokens): void {
    if (this.#cookie) return;
    this.#tokens = tokens;
    this.#expires = Date.now() + tokens.expiresIn * 1000;
    this.options.onTokens?.(tokens);
  }

  /** Ask until it is answered; what is sent is harmless to repeat. */
  async request<T>(method: string, path: string, options: RequestOptions = {}): Promise<T> {
    const isPost = method === 'POST';
    const headers = { ...(isPost ? { 'Idempotency-Key': crypto.randomUUID() } : {}), ...options.headers };
    let refreshed = path.startsWith('/tokens/refresh');
    if (!refreshed && this.#expires - Date.now() < MARGIN)
      await this.refresh().catch((failure) => this.#unlessGood(failure));
    for (let failures = 0; ; ) {
      try {
        return await this.#once<T>(method, path, { ...options, headers });
      } catch (failure) {
        const problem = failure instanceof Problem ? failure : null;
        if (problem?.slug === 'token-expired' && !refreshed) {
          refreshed = true;
          await this.refresh();
          continue;
        }
        // Without an answer nobody knows whether it was done, and with If-Match a repeat would be refused.
        const passes = problem
          ? GATEWAY.includes(problem.status) || problem.slug === 'idempotency-in-progress'
          : failure instanceof Unreachable && !('If-Match' in headers) && method !== 'DELETE';
        const asked = problem?.retryAfter ?? 0;
        if (!passes || ++failures === TRIES || asked > PATIENCE) throw failure;
        await sleep(asked * 1000 + Math.random() * FIRST_WAIT * 2 ** failures);
      }
    }
  }

  /** Renew the tokens, or the cookie. Several who ask at once get one answer. */
  refresh(): Promise<void> {
    this.#refreshing ??= this.#renew().finally(() => {
      this.#refreshing = null;
    });
    return this.#refreshing;
  }

  /** A token that cannot be renewed now does as long as it is good. */
  #unlessGood(failure: unknown): void {
    if (this.#expires <= Date.now()) throw failure;
  }

  async #renew(): Promise<void> {
    const token = this.#tokens?.refreshToken;
    const body = token && !this.#cookie ? { refreshToken: token } : {};
    // For 30 seconds the same token gets the same successor, so that this too is harmless to repeat.
    this.take(await this.request<Tokens>('POST', '/tokens/refresh', { body }));
  }

  async #once<T>(method: string, path: string, { body, query, headers, keepalive }: RequestOptions): Promise<T> {
    const token = this.#cookie || path === '/tokens/refresh' ? undefined : this.#tokens?.accessToken;
    const given = Object.entries(query ?? {}).filter(([, value]) => value !== undefined);
    const asked = new URLSearchParams(given.map(([name, value]) => [name, String(value)]));
    const ask = this.options.fetch ?? fetch;
    let answer: Response;
    try {
      answer = await ask(this.options.baseUrl.replace(/\/$/, '') + path + (given.length ? `?${asked}` : ''), {
        method,
        headers: {
          ...(body === undefined ? {} : { 'Content-Type': 'application/json' }),
          ...(token ? { Authorization: `Bearer ${token}` } : {}),
          ...(this.#cookie ? { 'X-Tessera-Csrf': '1' } : {}),
          ...headers,
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        credentials: this.#cookie ? 'include' : 'omit',
        signal: AbortSignal.timeout(TIMEOUT),
        keepalive: keepalive ?? false,
      });
      if (answer.ok) return (answer.status === 204 ? null : await answer.json()) as T;
    } catch (failure) {
      throw new Unreachable(String(failure), { cause: failure });
    }
    // A gateway may answer with a page of its own.
    const problem = (await answer.json().catch(() => ({}))) as JsonObject;
    const wait = Number.parseFloat(answer.headers.get('Retry-After') ?? '');
    throw new Problem(problem, answer.status, wait >= 0 ? wait : null);
  }
}
