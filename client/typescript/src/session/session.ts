/** The session API, call by call. */

import type { JsonObject } from '../json.ts';
import { Problem } from '../problems.ts';
import { Http } from './http.ts';
import type {
  Appended,
  Bucket,
  Condition,
  Message,
  MessagePage,
  RequestOptions,
  Session,
  SessionClient,
  SessionOptions,
  SessionWithParts,
  Tokens,
  Validity,
} from './types.ts';

const matching = ({ ifMatch }: Condition = {}): RequestOptions =>
  ifMatch === undefined ? {} : { headers: { 'If-Match': `"${ifMatch}"` } };

/** A client of one session: the one that it creates, or the caller's own. */
export function createSessionClient(options: SessionOptions): SessionClient {
  const http = new Http(options);
  let id = options.sessionId ?? 'me';
  const call = <T>(method: string, path: string, rest?: RequestOptions) => http.request<T>(method, path, rest);
  const own = <T>(method: string, path = '', rest?: RequestOptions) =>
    call<T>(method, `/sessions/${encodeURIComponent(id)}${path}`, rest);
  const named = <T extends Session>(session: T): T => {
    id = session.id;
    return session;
  };
  const bucket = (name: string) => `/data/${encodeURIComponent(name)}`;

  return {
    get id() {
      return id;
    },
    use(another = 'me') {
      id = another;
    },
    async create(body = {}) {
      const { session, tokens } = await call<{ session: Session; tokens: Tokens }>('POST', '/sessions', { body });
      http.take(tokens);
      return named(session);
    },
    get: async (include) => named(await own<SessionWithParts>('GET', '', { query: { include: include?.join() } })),
    patch: (body, condition) => own('PATCH', '', { body, ...matching(condition) }),
    extend: (seconds) => own('POST', '/extend', { body: seconds === undefined ? {} : { seconds } }),
    validity: () => own<Validity>('GET', '/validity'),
    delete: ({ purge } = {}) => own('DELETE', '', { query: { purge } }),
    advance: (to) => own('POST', '/advance', { body: { to } }),
    refresh: () => http.refresh(),
    ticket: async () => (await own<{ ticket: string }>('POST', '/socket-ticket')).ticket,
    request: call,
    data: {
      async load<T extends JsonObject>(name: string) {
        try {
          return await own<Bucket<T>>('GET', bucket(name));
        } catch (failure) {
          if (failure instanceof Problem && failure.slug === 'bucket-not-found') return null;
          throw failure;
        }
      },
      save: (name, body, { ttlSeconds, ...condition } = {}) =>
        own('PUT', bucket(name), { body, query: { ttlSeconds }, ...matching(condition) }),
      patch: (name, body, { baseVersion, ttlSeconds, ...condition } = {}) =>
        own('PATCH', bucket(name), { body, query: { baseVersion, ttlSeconds }, ...matching(condition) }),
      remove: (name, condition) => own('DELETE', bucket(name), matching(condition)),
    },
    messages: {
      append: (given) => own<Appended>('POST', '/messages', { body: { messages: [given].flat() } }),
      read: (query) => own<MessagePage>('GET', '/messages', { query: { ...query } }),
      pop: async () => (await own<{ message: Message | null }>('POST', '/messages/pop')).message,
      clear: () => own('DELETE', '/messages'),
    },
  };
}
