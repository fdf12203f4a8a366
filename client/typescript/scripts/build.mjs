import { bundle, ENTRIES } from './bundles.mjs';

await Promise.all(Object.keys(ENTRIES).map((entry) => bundle(entry, 'dist')));
