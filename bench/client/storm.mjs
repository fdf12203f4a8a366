// 10,000 clients lose their socket in one moment: when do they come back, by the client's own back-off?
// A simulation: the gateway takes 500 new connections a second and refuses the others; nothing waits in real time.
import { build } from 'esbuild';

const CLIENTS = 10_000;
const PER_SECOND = 500;
const LIMIT_SECONDS = 600;

const core = new URL('../../client/typescript/src/live/', import.meta.url).pathname;
const source = `export { backoff } from './backoff.ts'; export { DEFAULTS } from './settings.ts';`;
const built = await build({ stdin: { contents: source, resolveDir: core }, bundle: true, write: false, format: 'esm' });
const { backoff, DEFAULTS } = await import(`data:text/javascript,${encodeURIComponent(built.outputFiles[0].text)}`);

/** Each wait (s) after so many failures in a row. */
const WAYS = {
  ours: (failures) => backoff(failures, DEFAULTS, Math.random).wait / 1000,
  // A usual setting of clients without chance: every five seconds, all at once.
  fixed: () => 5,
  // The usual doubling, without chance in it.
  doubling: (failures) => Math.min(30, 2 ** (failures - 1)),
};

function storm(wait) {
  const due = Array.from({ length: CLIENTS }, () => ({ at: wait(1), failures: 1 }));
  const attempts = [];
  const connected = [];
  let waiting = due;
  for (let second = 0; waiting.length > 0 && second < LIMIT_SECONDS; second++) {
    const now = waiting.filter(({ at }) => at < second + 1).sort((a, b) => a.at - b.at);
    const later = waiting.filter(({ at }) => at >= second + 1);
    attempts.push(now.length);
    connected.push(Math.min(now.length, PER_SECOND));
    // A refusal takes 50 ms; whoever comes back within the same second is counted in the next one.
    for (const client of now.slice(PER_SECOND)) {
      client.failures++;
      later.push({ ...client, at: Math.max(client.at + 0.05 + wait(client.failures), second + 1) });
    }
    waiting = later;
  }
  const seconds = (share) => {
    let sum = 0;
    const second = connected.findIndex((count) => (sum += count) >= CLIENTS * share);
    return second < 0 ? LIMIT_SECONDS : second + 1;
  };
  return {
    attempts,
    connected,
    peak: Math.max(...attempts),
    peak_later: Math.max(...attempts.slice(5), 0),
    each: attempts.reduce((a, b) => a + b) / CLIENTS,
    half: seconds(0.5),
    most: seconds(0.99),
    all: seconds(1),
  };
}

console.log(JSON.stringify(Object.fromEntries(Object.entries(WAYS).map(([name, wait]) => [name, storm(wait)]))));
