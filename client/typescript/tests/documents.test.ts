/** The examples of docs/client.md and docs/realtime.md are what the compiler takes. */

import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';
import { expect, test } from 'vitest';

const HERE = fileURLToPath(new URL('.', import.meta.url));
const page = (name: string) => readFileSync(new URL(`../../../docs/${name}`, import.meta.url), 'utf8');
const examples = (text: string) => [...text.matchAll(/^```tsx?\n(.*?)^```$/gms)].map(([, code]) => String(code));
/** On the second page the first example goes before all others. */
const [BEFORE = '', ...REST] = examples(page('realtime.md'));
const EXAMPLES = [...examples(page('client.md')), BEFORE, ...REST.map((code) => `${BEFORE}\n${code}`)];
const ENTRIES = {
  draft: 'draft',
  pool: 'pool',
  react: 'react',
  compat: 'compat',
  'service-worker': 'worker/page',
};

/** What the compiler has to say about files that exist in memory, beside our own on the disk. */
function complaints(files: Map<string, string>): string[] {
  const { config } = ts.readConfigFile(join(HERE, '../tsconfig.json'), ts.sys.readFile);
  const { options } = ts.parseJsonConfigFileContent(config, ts.sys, dirname(HERE));
  const source = (name: string) => [join(HERE, `../src/${name}.ts`)];
  const entries = Object.entries(ENTRIES).map(([entry, path]) => {
    return [`@tessera/client/${entry}`, source(path.includes('/') ? path : `${path}/index`)];
  });
  const paths = { '@tessera/client': source('index'), ...Object.fromEntries(entries) };
  const host = ts.createCompilerHost({ ...options, paths });
  const { fileExists, readFile } = host;
  host.fileExists = (name) => files.has(name) || fileExists(name);
  host.readFile = (name) => files.get(name) ?? readFile(name);
  const { getSourceFile } = host;
  host.getSourceFile = (name, target, ...rest) => {
    const text = files.get(name);
    return text === undefined
      ? getSourceFile(name, target, ...rest)
      : ts.createSourceFile(name, text, target, true);
  };
  // What goes before the examples of a page is not used by each of them.
  const program = ts.createProgram([...files.keys()], { ...options, paths, noUnusedLocals: false }, host);
  return [...files.keys()].flatMap((name) => {
    const file = program.getSourceFile(name);
    const found = [...program.getSyntacticDiagnostics(file), ...program.getSemanticDiagnostics(file)];
    return found.map(({ messageText }) => `${name}: ${ts.flattenDiagnosticMessageText(messageText, '\n')}`);
  });
}

test('every example of the page compiles, strictly, and one that is wrong would not', () => {
  expect(EXAMPLES.length).toBeGreaterThanOrEqual(12);
  const wrong = `import { createLive } from '@tessera/client'; createLive({ url: 1 });`;
  const files = new Map([...EXAMPLES, wrong].map((code, index) => [join(HERE, `example${index}.tsx`), code]));
  const found = complaints(files);
  expect(found.filter((each) => !each.includes(`example${EXAMPLES.length}.tsx`))).toEqual([]);
  expect(found.length).toBeGreaterThan(0);
}, 60_000);
