/** The core knows no framework, and does nothing when it is imported. */

import { readFileSync } from 'node:fs';
import { build } from 'esbuild';
import { expect, test, vi } from 'vitest';

vi.mock('react', () => {
  throw new Error('the core imports React');
});

const bundled = async () => {
  const entry = new URL('../src/index.ts', import.meta.url).pathname;
  const { metafile, outputFiles } = await build({
    entryPoints: [entry],
    bundle: true,
    write: false,
    format: 'esm',
    metafile: true,
    external: ['react', 'react-dom'],
  });
  return { inputs: Object.keys(metafile.inputs), text: outputFiles[0]?.text ?? '', metafile };
};

test('it runs where React cannot be imported', async () => {
  const core = await import('../src/index.ts');
  expect(Object.keys(core).sort()).toEqual(['Problem', 'Unreachable', 'createLive', 'createSessionClient']);
});

test('its bundle is our own modules and idb, with nothing left to import', async () => {
  const { inputs, metafile } = await bundled();
  const foreign = inputs.filter((path) => path.includes('node_modules'));
  expect(foreign.map((path) => path.replace(/^.*node_modules\/([^/]+)\/.*$/, '$1'))).toEqual(['idb']);
  expect(Object.values(metafile.outputs).flatMap(({ imports }) => imports)).toEqual([]);
});

test('import does nothing: no timer, no request, no global is touched', async () => {
  const { text } = await bundled();
  const touched: string[] = [];
  const spy = new Proxy({} as Record<string, unknown>, {
    has: () => true,
    get: (_, name) => {
      // idb patches the prototypes of the browser's classes when it is used; to ask for globals is all it may do here.
      if (
        typeof name === 'string' &&
        ['document', 'window', 'navigator', 'fetch', 'setTimeout', 'WebSocket'].includes(name)
      ) {
        touched.push(name);
      }
      return globalThis[name as keyof typeof globalThis];
    },
  });
  new Function('scope', `with (scope) { ${text.replace(/^export \{[^}]*\};?$/m, '')} }`)(spy);
  expect(touched).toEqual([]);
});

test('rendering on a server: to make a client connects nothing and needs no browser', async () => {
  const { createLive } = await import('../src/index.ts');
  const live = createLive({ url: 'wss://test', ticket: () => Promise.reject(new Error('asked for a ticket')) });
  expect(live.status.getSnapshot()).toMatchObject({ state: 'idle', leader: false });
  expect(live.outbox.getSnapshot()).toMatchObject({ size: 0 });
  live.close();
});

test('the package names what it needs: nothing at run time', () => {
  const manifest = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'));
  expect(manifest.dependencies ?? {}).toEqual({});
});
