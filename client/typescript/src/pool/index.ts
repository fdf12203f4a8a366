/** Several connections over several addresses. */

export type { Strategy } from './choosing.ts';
export { EMPTY, Pool, type PoolMetrics, type PoolOptions } from './pool.ts';
export { type Measured, prometheus } from './prometheus.ts';
