/** What a push says: a notification in the terms of the Notifications API. */

export interface Note {
  title: string;
  body?: string;
  /** One of the same tag replaces the one before. */
  tag?: string;
  icon?: string;
  /** `url` is opened at a click, when it is of this origin. `push` is what was sent: JSON, or else the text. */
  data?: { url?: string; push?: unknown } & Record<string, unknown>;
}

/**
 * The notification of a push's text: `{title, body?, tag?, icon?, url?}`, alone or as the `data` of a message. A browser
 * demands that something is shown for every push: text that is no JSON is shown as it is, anything else as news. So is
 * what the service tells of a session, `{change, version, patch}`: the words for it are the page's.
 */
export function note(text: string): Note {
  const json = parsed(text);
  const isPlain = text !== '' && json === undefined;
  const push = text === '' ? {} : { push: isPlain ? text : json };
  const sent = members(json);
  const inner = typeof sent.title === 'string' ? sent : members(sent.data);
  if (typeof inner.title !== 'string') return { title: 'News', ...(isPlain && { body: text }), data: push };
  const { title, body, tag = sent.messageId, icon, url } = inner;
  return {
    title,
    ...(typeof body === 'string' && { body }),
    ...(typeof tag === 'string' && { tag }),
    ...(typeof icon === 'string' && { icon }),
    data: {
      ...(typeof url === 'string' && { url }),
      ...(typeof sent.topic === 'string' && { topic: sent.topic }),
      ...push,
    },
  };
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined; // plain text
  }
}

function members(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
}
