// Node.js 18 has Web Crypto, but not as a global; browsers and later versions do.
import { webcrypto } from 'node:crypto';

globalThis.crypto ??= webcrypto as Crypto;
