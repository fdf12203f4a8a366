import { defineConfig } from 'vitest/config';

/** In Chromium, against a deployed service: `TESSERA_ENDPOINTS=…/endpoints.json npm run test:browser`. */
export default defineConfig({
  test: {
    include: ['browser/**/*.test.ts'],
    environment: 'node',
    fileParallelism: false,
    testTimeout: 600_000,
    hookTimeout: 300_000,
  },
});
