// The session API by the built client, call after call. Usage: node session.mjs <http>
import { createSessionClient } from '../../../client/typescript/dist/index.js';

const told = {};
const session = createSessionClient({ baseUrl: process.argv[2] });
const created = await session.create({ kind: 'form', email: 'ada@example.org' });

const patched = await session.patch({ currentStep: 2, completedSteps: [1] }, { ifMatch: created.version });
told.step = patched.currentStep;
told.stale = await session.patch({ currentStep: 1 }, { ifMatch: created.version }).catch(({ slug }) => slug);
told.none = await session.data.load('form');
const saved = await session.data.save('form', { name: 'Ada', city: 'London' });
await session.data.patch('form', { city: 'Paris' }, { baseVersion: saved.version });
const merged = await session.data.patch('form', { name: 'Augusta' }, { baseVersion: saved.version });
told.merged = merged.data;
const clash = session.data.patch('form', { city: 'Rome' }, { baseVersion: saved.version });
told.conflicts = await clash.catch(({ body }) => body.conflicts);
await session.data.remove('form');
await session.messages.append([{ role: 'user', content: 'Hello' }]);
told.messages = (await session.messages.read({ limit: 10 })).messages.map(({ content }) => content);
told.popped = (await session.messages.pop())?.content;
told.valid = (await session.validity()).valid;
await session.refresh();
told.afterRefresh = (await session.get()).id === created.id;
await session.delete();
told.deleted = await session.get().catch(({ status }) => status);
process.stdout.write(JSON.stringify(told));
process.exit(0);
