/** How often things happened in the last minute. */

import { useEffect, useState } from 'react';
import type { LiveMetrics } from '../live/types.ts';
import type { Store } from '../store.ts';

export interface Rates {
  messages: number;
  errors: number;
  reconnects: number;
}

interface Sample extends Rates {
  at: number;
}

const MINUTE = 60_000;
const NONE: Rates = { messages: 0, errors: 0, reconnects: 0 };

/** Counters now and at most a minute ago, looked at every second. */
export function useRates(metrics: Store<LiveMetrics>): Rates {
  const [rates, setRates] = useState(NONE);
  useEffect(() => {
    let samples = [sample(metrics, Date.now())];
    const timer = setInterval(() => {
      const now = sample(metrics, Date.now());
      samples = [...samples.filter(({ at }) => now.at - at <= MINUTE), now];
      setRates(between(samples[0] ?? now, now));
    }, 1_000);
    return () => clearInterval(timer);
  }, [metrics]);
  return rates;
}

function sample(metrics: Store<LiveMetrics>, at: number): Sample {
  const { messagesReceived, messagesSent, errors, reconnects } = metrics.getSnapshot();
  return { at, messages: messagesReceived + messagesSent, errors, reconnects };
}

function between(then: Sample, now: Sample): Rates {
  return {
    messages: now.messages - then.messages,
    errors: now.errors - then.errors,
    reconnects: now.reconnects - then.reconnects,
  };
}
