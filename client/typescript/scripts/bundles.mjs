// What is built: each entry is one file, with everything in it but React.
import { build } from 'esbuild';

/** Entry in src → the file in dist. */
export const ENTRIES = { index: 'src/index.ts' };

const NOTICE = '/*! Contains idb, (c) Jake Archibald, ISC licence. */';

/** Bundle an entry; returns its text. */
export async function bundle(entry, outdir) {
  const built = await build({
    entryPoints: { [entry]: ENTRIES[entry] },
    absWorkingDir: new URL('..', import.meta.url).pathname,
    outdir: outdir ?? 'dist',
    write: outdir !== undefined,
    bundle: true,
    minify: true,
    sourcemap: outdir === undefined ? false : 'linked',
    format: 'esm',
    target: 'es2022',
    external: ['react', 'react-dom'],
    banner: { js: NOTICE },
    logLevel: 'warning',
  });
  return built.outputFiles?.find((file) => file.path.endsWith('.js'))?.text;
}
