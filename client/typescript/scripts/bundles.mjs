// What is built: each entry is one file, with everything in it but React and the other entries.
import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { build } from 'esbuild';

const HERE = new URL('..', import.meta.url).pathname;

/** Entry → its source. In dist it becomes <entry>.js. */
export const ENTRIES = {
  index: 'src/index.ts',
  draft: 'src/draft/index.ts',
  pool: 'src/pool/index.ts',
  react: 'src/react/index.ts',
  compat: 'src/compat/index.ts',
  'service-worker': 'src/worker/page.ts',
  worker: 'src/worker/worker.ts',
};

/** A service worker's script is no module: not every browser takes one. */
const SCRIPT = { format: 'iife', globalName: 'tessera' };

const NOTICE = '/*! Contains idb, (c) Jake Archibald, ISC licence. */';

/** An import of another entry stays one, so that a page which uses two has nothing twice. */
const otherEntries = {
  name: 'other-entries',
  setup({ onResolve }) {
    const built = new Map(Object.entries(ENTRIES).map(([entry, source]) => [resolve(HERE, source), entry]));
    onResolve({ filter: /^\.\.?\// }, ({ path, resolveDir, kind }) => {
      if (kind === 'entry-point') return undefined;
      const entry = built.get(resolve(resolveDir, path));
      return entry === undefined ? undefined : { path: `./${entry}.js`, external: true };
    });
  },
};

/** idb adds its shortcuts and iterators by calls whose results nobody uses: marked so, they are left out. */
const plainIdb = {
  name: 'plain-idb',
  setup({ onLoad }) {
    onLoad({ filter: /\/idb\/build\/index\.js$/ }, async ({ path }) => {
      const text = await readFile(path, 'utf8');
      return { contents: text.replaceAll(/^replaceTraps\(/gm, '/* @__PURE__ */ replaceTraps(') };
    });
  },
};

/** Bundle an entry; returns its text. */
export async function bundle(entry, outdir) {
  const built = await build({
    entryPoints: { [entry]: ENTRIES[entry] },
    absWorkingDir: HERE,
    outdir: outdir ?? 'dist',
    write: outdir !== undefined,
    bundle: true,
    minify: true,
    sourcemap: outdir === undefined ? false : 'linked',
    ...(entry === 'worker' ? SCRIPT : { format: 'esm' }),
    target: 'es2022',
    external: ['react', 'react-dom'],
    plugins: [otherEntries, plainIdb],
    ...(entry === 'index' ? { banner: { js: NOTICE } } : {}),
    logLevel: 'warning',
  });
  return built.outputFiles?.find((file) => file.path.endsWith('.js'))?.text;
}
