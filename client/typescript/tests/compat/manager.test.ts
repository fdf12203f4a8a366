import { describe, expect, it, vi } from 'vitest';
import { HybridSessionManager, type LogEntry } from '../../src/compat/index.ts';
import { MemoryStorage, Service } from '../support/service.ts';

const ID = 'session-1795168800000-abc123-def456';
const NOW = 1795172400000;

function opened({ items = {}, cookie = `session_id=${ID}`, service = new Service() } = {}) {
  const storage = new MemoryStorage(items);
  const log: LogEntry[] = [];
  const jar = { text: cookie };
  const cookies = {
    read: () => jar.text,
    write: (text: string) => {
      jar.text = text;
    },
  };
  const options = { client: service.client(), storage, cookies, log: (entry: LogEntry) => log.push(entry) };
  const make = () => new HybridSessionManager({ ...options, now: () => NOW });
  return { manager: make(), another: make, storage, service, log, jar };
}

describe('moving', () => {
  it('takes the data of all three managers into one session and leaves the old keys as they were', async () => {
    const funnel = {
      id: 'ws_1',
      email: 'ada@example.org',
      customerInfo: { firstName: 'Ada', customerId: 'c-1' },
      products: [{ sku: 'kettle' }],
      currentStep: 'upsell-1',
      upsellsAccepted: ['u-1'],
      paymentToken: 'tok',
      expiresAt: '2100-01-01T00:00:00Z',
    };
    const items = {
      [`config_${ID}`]: { colour: 'red' },
      [`order_${ID}`]: { amount: 3998 },
      webseed_funnel_sessions: { ws_1: funnel },
      draft: { sessionId: 'u-1', projectData: { projectName: 'Engine' }, currentStep: 2, completedSteps: [1] },
    };
    const { manager, service, storage } = opened({ items });

    expect(await manager.migrate()).toBe(true);

    expect(service.session).toMatchObject({
      kind: 'configurator',
      email: 'ada@example.org',
      customer: { firstName: 'Ada' },
      products: [{ sku: 'kettle' }],
      metadata: { legacyIds: [ID, 'ws_1', 'u-1'] },
    });
    expect(service.session?.customer).not.toHaveProperty('customerId');
    expect(service.bucket('config')).toEqual({ colour: 'red' });
    expect(service.bucket('order')).toEqual({ amount: 3998 });
    expect(service.bucket('project')).toEqual({ projectName: 'Engine' });
    expect(service.bucket('funnel')).toMatchObject({ currentStep: 'upsell-1', upsellsAccepted: ['u-1'] });
    expect(service.bucket('funnel')).not.toHaveProperty('paymentToken');
    for (const [key, value] of Object.entries(items))
      expect(JSON.parse(storage.getItem(key) ?? '')).toEqual(value);
  });

  it('happens once', async () => {
    const { another, service } = opened({ items: { [`config_${ID}`]: { colour: 'red' } } });
    await another().migrate();
    const writes = service.writes.length;
    service.elsewhere('config', { colour: null });
    await another().migrate();
    expect(service.writes).toHaveLength(writes);
    expect(service.bucket('config')).toEqual({});
  });

  it('never overwrites what the session has', async () => {
    const { manager, service } = opened({ items: { [`config_${ID}`]: { colour: 'red', size: 'L' } } });
    await service.client().create({ kind: 'configurator', data: { config: { colour: 'blue' } } });
    await manager.migrate();
    expect(service.bucket('config')).toEqual({ colour: 'blue', size: 'L' });
  });
});

describe('the old calls', () => {
  it('keep the id of the cookie, or make one of the old form', () => {
    expect(opened().manager.getSessionId()).toBe(ID);
    const { manager, jar } = opened({ cookie: '' });
    const made = manager.getSessionId();
    expect(made).toMatch(/^session-\d{13}-[a-z0-9]{6}-[a-z0-9]{6}$/);
    expect(jar.text).toContain(`session_id=${made}; Max-Age=604800`);
    expect(manager.getSessionId()).toBe(made);
  });

  it('save to the session and where the old code reads', async () => {
    const items = { [`config_${ID}`]: { sessionId: ID, data: { colour: 'red' }, timestamp: 7 } };
    const { manager, service, storage } = opened({ items });
    await manager.saveConfigData({ colour: 'green' });
    await manager.saveData(ID, { amount: 1 }, 'order');
    expect(service.bucket('config')).toEqual({ colour: 'green' });
    expect(await manager.getConfigData()).toEqual({ colour: 'green' });
    expect(await manager.getData(ID, 'order')).toEqual({ amount: 1 });
    const old = JSON.parse(storage.getItem(`config_${ID}`) ?? '');
    expect(old).toEqual({ sessionId: ID, data: { colour: 'green' }, timestamp: 7 });
  });

  it('work without the service, and tell it later', async () => {
    const { manager, another, service, log } = opened();
    service.down = true;
    await manager.saveConfigData({ colour: 'green', owner: 'ada@example.org' });
    expect(await manager.getConfigData()).toEqual({ colour: 'green', owner: 'ada@example.org' });
    expect(await manager.isValidSession()).toBe(true);
    expect(await manager.isValidSession('session-1-a-b')).toBe(false);
    expect(manager.debugSession()).toMatchObject({ servedBy: 'localStorage', moved: false, unsent: ['config'] });
    expect(log.map((entry) => entry.problem)).toContain('Unreachable');
    expect(JSON.stringify(log)).not.toContain('ada@');

    service.down = false;
    await another().migrate();
    expect(service.bucket('config')).toMatchObject({ colour: 'green' });
    expect(manager.debugSession()).toMatchObject({ moved: true, unsent: [] });
  });

  it('show and send what was saved while the service was away, in the same page', async () => {
    const { manager, service } = opened();
    await manager.saveConfigData({ colour: 'red' });
    service.down = true;
    await manager.saveConfigData({ colour: 'green' });
    await manager.saveData(ID, { amount: 1 }, 'order');
    service.down = false;
    expect(await manager.getConfigData()).toEqual({ colour: 'green' });
    expect(await manager.getData(ID, 'order')).toEqual({ amount: 1 });
    expect([service.bucket('config'), service.bucket('order')]).toEqual([{ colour: 'green' }, { amount: 1 }]);
    expect(manager.debugSession().unsent).toEqual([]);
  });

  it('send the last of two saves that overlap, also when only the first gets through', async () => {
    const { manager, another, service } = opened();
    await manager.migrate();
    const first = manager.saveConfigData({ colour: 'red' });
    const second = manager.saveConfigData({ colour: 'green' });
    service.downAfter = 1;
    await Promise.all([first, second]);
    expect(service.bucket('config')).toEqual({ colour: 'red' });
    expect(manager.debugSession().unsent).toEqual(['config']);
    service.downAfter = Number.POSITIVE_INFINITY;
    await another().migrate();
    expect(service.bucket('config')).toEqual({ colour: 'green' });
  });

  it('send two saves one after the other: the first one, however slow, does not come last', async () => {
    const service = new Service();
    const client = service.client();
    const { save } = client.data;
    const waits = [50];
    const slowly: typeof save = async (...given) => {
      await new Promise((resolve) => setTimeout(resolve, waits.shift() ?? 0));
      return save(...given);
    };
    Object.assign(client.data, { save: slowly });
    const manager = new HybridSessionManager({ client, storage: new MemoryStorage(), cookies: null });
    await manager.migrate();
    const colours = ['red', 'blue'];
    await Promise.all(colours.map((colour) => manager.saveData(ID, { colour }, 'config')));
    expect(service.bucket('config')).toEqual({ colour: 'blue' });
  });

  it('work where the browser forbids storage', async () => {
    const forbidden = {
      configurable: true,
      get: () => {
        throw new DOMException('no', 'SecurityError');
      },
    };
    vi.stubGlobal('document', { cookie: '' });
    Object.defineProperty(globalThis, 'localStorage', forbidden);
    const manager = new HybridSessionManager({ client: new Service().client(), log: () => {} });
    await manager.saveConfigData({ colour: 'red' });
    expect(await manager.getConfigData()).toEqual({ colour: 'red' });
    Reflect.deleteProperty(globalThis, 'localStorage');
    vi.unstubAllGlobals();
  });

  it('find the data again in a new session when the old one has expired', async () => {
    const { another, service } = opened({ items: { [`config_${ID}`]: { colour: 'red' } } });
    await another().migrate();
    service.expire();
    expect(await another().getConfigData()).toEqual({ colour: 'red' });
    expect(service.created).toBe(2);
  });

  it('say nothing on a server', async () => {
    const manager = new HybridSessionManager({ client: new Service().client(), log: () => {} });
    expect(manager.getSessionId()).toBe('');
    expect(await manager.getConfigData()).toBeNull();
  });

  it('go on when the storage is full', async () => {
    const { manager, service, storage } = opened();
    storage.full = true;
    await manager.saveConfigData({ colour: 'green' });
    expect(service.bucket('config')).toEqual({ colour: 'green' });
  });
});
