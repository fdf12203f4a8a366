/** The session of a page. */

import { createContext, type ReactNode, useContext } from 'react';
import type { SessionClient } from '../session/types.ts';

const Context = createContext<SessionClient | null>(null);

export interface SessionProviderProps {
  client: SessionClient;
  children?: ReactNode;
}

export function SessionProvider({ client, children }: SessionProviderProps) {
  return <Context.Provider value={client}>{children}</Context.Provider>;
}

/** The client of the session. Throws outside of a SessionProvider. */
export function useSession(): SessionClient {
  const client = useContext(Context);
  if (client === null) throw new Error('useSession needs a <SessionProvider client={…}> above it');
  return client;
}

/** The same; null without a provider. */
export function useSessionIfAny(): SessionClient | null {
  return useContext(Context);
}
