// The core with its outbox stays within 10 KB gzip. `--json` prints the figures.
import { gzipSync } from 'node:zlib';
import { bundle } from './bundles.mjs';

const LIMIT = 10_000;

const text = await bundle('index');
const figures = { minified: text.length, gzip: gzipSync(text, { level: 9 }).length, limit: LIMIT };
if (process.argv.includes('--json')) {
  console.log(JSON.stringify(figures));
} else {
  console.log(`core: ${figures.gzip} bytes gzip of at most ${LIMIT} (${figures.minified} minified)`);
}
process.exitCode = figures.gzip <= LIMIT ? 0 : 1;
