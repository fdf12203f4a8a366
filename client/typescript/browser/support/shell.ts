/** A page of the documents as a script: its commands, run one block after the other in one shell. */

import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';

const ROOT = new URL('../../../../', import.meta.url);
const MARK = '=====block=====';

/** The commands of a section, block by block. */
export function blocks(page: string, heading: string): string[] {
  const text = readFileSync(new URL(page, ROOT), 'utf8');
  const section = text.split(`\n${heading}\n`)[1]?.split('\n## ')[0] ?? '';
  return [...section.matchAll(/^```sh\n(.*?)^```$/gms)].map((found) => found[1] ?? '');
}

export class Shell {
  readonly #bash: ChildProcess;
  #said = '';
  #heard: (() => void) | null = null;

  constructor() {
    this.#bash = spawn('/bin/bash', [], { cwd: ROOT, stdio: ['pipe', 'pipe', 'pipe'], detached: true });
    for (const stream of [this.#bash.stdout, this.#bash.stderr]) {
      stream?.on('data', (part) => {
        this.#said += part;
        this.#heard?.();
      });
    }
    this.#bash.on('close', () => this.#heard?.());
    this.#bash.stdin?.write('set -euo pipefail\n');
  }

  /** Run a block; what it printed. Rejects when a command of it fails. */
  run(block: string): Promise<string> {
    this.#said = '';
    this.#bash.stdin?.write(`{\n${block}\n} </dev/null\necho ${MARK}\n`);
    return new Promise((resolve, reject) => {
      this.#heard = () => {
        const [said = '', end] = this.#said.split(`${MARK}\n`);
        if (end !== undefined) resolve(said);
        else if (this.#bash.exitCode !== null) reject(new Error(`${block}\nsaid:\n${this.#said}`));
      };
      this.#heard();
    });
  }

  /** End it, with what it still runs in the background. */
  end(): void {
    if (this.#bash.pid !== undefined && this.#bash.exitCode === null) process.kill(-this.#bash.pid);
  }
}
