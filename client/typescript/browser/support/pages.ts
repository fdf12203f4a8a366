/** A server of static files that can be stopped and started again on its port. */

import { readFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import { extname } from 'node:path';
import type { Page } from 'playwright-core';
import { listening } from './ports.ts';

const TYPES: Record<string, string> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css',
};
const ROOT = new URL('../..', import.meta.url);

/** Text of a path, or where it lies in the client's folder. */
export type Files = Record<string, { text: string } | { file: string }>;

export class Pages {
  #server: Server | null = null;
  #port = 0;
  readonly files: Files;
  readonly #held = new Map<string, () => Promise<void>>();

  constructor(files: Files) {
    this.files = files;
  }

  get origin(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  async start(): Promise<void> {
    this.#server = createServer(async (request, response) => {
      const path = new URL(request.url ?? '/', 'http://page').pathname;
      const held = this.#held.get(path);
      this.#held.delete(path);
      await held?.();
      const found = this.files[path] ?? (path.startsWith('/dist/') ? { file: path.slice(1) } : undefined);
      if (found === undefined) {
        response.writeHead(404).end();
        return;
      }
      const body = 'text' in found ? found.text : await readFile(new URL(found.file, ROOT));
      response.writeHead(200, {
        'content-type': TYPES[extname(path)] ?? TYPES['.html'],
        'cache-control': 'no-cache',
      });
      response.end(body);
    });
    this.#port = await listening(this.#server, this.#port);
  }

  /** Let the next request of a path wait: when it is asked, and how to answer it. */
  hold(path: string): [asked: Promise<void>, answer: () => void] {
    let answer = () => {};
    const answered = new Promise<void>((resolve) => {
      answer = resolve;
    });
    const asked = new Promise<void>((resolve) => {
      this.#held.set(path, () => {
        resolve();
        return answered;
      });
    });
    return [asked, answer];
  }

  stop(): void {
    this.#server?.close();
    this.#server?.closeAllConnections();
  }
}

/** A page that has the built client as `globalThis.client`: vitest would rewrite an import inside of `evaluate`. */
export const WITH_CLIENT = `<!doctype html><title>Client</title><script type=module>
  const entries = ['index', 'pool', 'compat', 'service-worker'].map((entry) => import(\`/dist/\${entry}.js\`));
  globalThis.client = Object.assign({}, ...(await Promise.all(entries)));
</script>`;

export interface WithClient {
  client: typeof import('../../src/index.ts') &
    typeof import('../../src/pool/index.ts') &
    typeof import('../../src/compat/index.ts') &
    typeof import('../../src/worker/page.ts');
}

/** The page once its client is there. */
export async function visited(page: Page, url: string): Promise<Page> {
  await page.goto(url);
  await page.waitForFunction(() => 'client' in globalThis);
  return page;
}
