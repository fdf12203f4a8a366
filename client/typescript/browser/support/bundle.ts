import { build } from 'esbuild';

/** The script of a page of `pages/`, with React and the client in it. */
export async function bundled(page: string): Promise<string> {
  const built = await build({
    entryPoints: [new URL(`../pages/${page}`, import.meta.url).pathname],
    bundle: true,
    write: false,
    format: 'esm',
    target: 'es2022',
    jsx: 'automatic',
    define: { 'process.env.NODE_ENV': '"production"' },
    logLevel: 'warning',
  });
  return built.outputFiles[0]?.text ?? '';
}
