/** The deployed service behind a wire that can be cut: to a page, the server has died. */

import { readFileSync } from 'node:fs';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { listening } from './ports.ts';

interface Endpoints {
  http: string;
  websocket: string;
  adminToken: string;
}

/** What runs, by the file that `make up` writes; the tests are started with its path. */
const file = process.env.TESSERA_ENDPOINTS ?? '../../.tessera/endpoints.json';
export const endpoints: Endpoints = JSON.parse(readFileSync(file, 'utf8'));

export class Wire {
  #server: Server | null = null;
  #port = 0;
  readonly #sockets = new Set<Socket>();
  readonly #live = new Set<Socket>();
  /** WebSockets that were opened through it. */
  opened = 0;

  /** The service's address for HTTP, through the wire. */
  get http(): string {
    return this.#through(endpoints.http);
  }

  get websocket(): string {
    return this.#through(endpoints.websocket);
  }

  /** WebSockets that are open now. */
  get live(): number {
    return this.#live.size;
  }

  async start(): Promise<void> {
    const { hostname, port } = new URL(endpoints.http);
    this.#server = createServer((near) => {
      const far = connect(Number(port), hostname);
      this.#sockets.add(near);
      near.once('data', (first) => {
        if (!/^upgrade: websocket\r$/im.test(first.toString('latin1'))) return;
        this.opened += 1;
        this.#live.add(near);
      });
      near.pipe(far).pipe(near);
      for (const [one, other] of [
        [near, far],
        [far, near],
      ] as const) {
        one.on('error', () => other.destroy());
        one.on('close', () => other.destroy());
      }
      near.on('close', () => {
        this.#sockets.delete(near);
        this.#live.delete(near);
      });
    });
    this.#port = await listening(this.#server, this.#port);
  }

  /** End every connection and refuse new ones, until it is started again. */
  cut(): void {
    this.#server?.close();
    for (const socket of this.#sockets) socket.destroy();
  }

  #through(address: string): string {
    const url = new URL(address);
    url.port = String(this.#port);
    return url.href.replace(/\/$/, '');
  }
}

/** Ask the service itself, as its administrator. */
export async function ask<T>(path: string): Promise<T> {
  const answer = await fetch(endpoints.http + path, {
    headers: { authorization: `Bearer ${endpoints.adminToken}` },
  });
  return (await answer.json()) as T;
}
