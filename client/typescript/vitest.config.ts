import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['tests/**/*.test.{ts,tsx}'],
    environment: 'node',
    setupFiles: ['tests/setup.ts'],
    // How long a test takes says more about the machine than about the code.
    testTimeout: 120_000,
    hookTimeout: 120_000,
  },
});
