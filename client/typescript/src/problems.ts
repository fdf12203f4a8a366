/**
 * What can go wrong.
 *
 *     Error
 *     ├── Problem       the service said no: problem details, RFC 9457
 *     └── Unreachable   no answer; whether it was done is not known
 */

import type { JsonObject } from './json.ts';

export class Problem extends Error {
  override readonly name = 'Problem';
  readonly status: number;
  /** The end of its `type`, /problems/<slug>: what to decide by. */
  readonly slug: string;
  readonly detail: string;
  /** All members, `errors`, `conflicts` and `allowed` among them. */
  readonly body: JsonObject;
  /** Seconds to wait before another try, if the service said. */
  readonly retryAfter: number | null;

  constructor(body: JsonObject, status?: number, retryAfter?: number | null) {
    super(`${body.title ?? 'refused'}: ${body.detail ?? status ?? body.status}`);
    this.status = Number(body.status ?? status ?? 0);
    this.body = { ...body, status: this.status };
    this.slug = String(body.type ?? 'about:blank').replace(/^.*\/problems\//, '');
    this.detail = String(body.detail ?? '');
    this.retryAfter = retryAfter ?? (typeof body.retryAfter === 'number' ? body.retryAfter : null);
  }
}

export class Unreachable extends Error {
  override readonly name = 'Unreachable';
}
