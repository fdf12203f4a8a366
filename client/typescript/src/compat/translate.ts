/** Old data in the terms of a session: fields of its own, and buckets for the rest. */

import type { Json, JsonObject } from '../json.ts';
import type { CreateSession } from '../session/types.ts';
import type { FunnelSession, Legacy, ProjectSession } from './legacy.ts';

export interface Translated {
  /** Of the session; only what a browser may set. */
  fields: Pick<CreateSession, 'email' | 'customer' | 'products'>;
  /** Steps of a form, for a new session of that kind. */
  steps: Pick<CreateSession, 'currentStep' | 'completedSteps'>;
  buckets: Record<string, JsonObject>;
  kind: 'configurator' | 'checkout' | 'form';
  /** The ids that the old managers gave. */
  legacyIds: string[];
}

/** Null when there is nothing to move. */
export function translated({ hybrid, funnel, project }: Legacy): Translated | null {
  if (hybrid === null && funnel === null && project === null) return null;
  const kind = hybrid ? 'configurator' : funnel ? 'checkout' : 'form';
  return {
    kind,
    fields: funnel ? fieldsOf(funnel) : {},
    steps: kind === 'form' && project ? stepsOf(project) : {},
    buckets: {
      ...(hybrid?.config && { config: hybrid.config }),
      ...(hybrid?.order && { order: hybrid.order }),
      ...(funnel && { funnel: rest(funnel) }),
      ...(project && { project: project.projectData }),
    },
    legacyIds: [hybrid?.sessionId, funnel?.id, project?.sessionId].filter((id) => id !== undefined),
  };
}

/** Only a service says who a customer is, so `customerId` stays behind. */
function fieldsOf({ email, customerInfo, products }: FunnelSession): Translated['fields'] {
  const { customerId: _id, ...customer } = isObject(customerInfo) ? customerInfo : {};
  return {
    ...(typeof email === 'string' && /^\S+@\S+$/.test(email) && { email }),
    ...(Object.keys(customer).length > 0 && { customer }),
    ...(Array.isArray(products) && { products: products.filter(isObject) }),
  };
}

/** What the service alone decides (status, step, upsells, payment) is kept to be read, without means of payment. */
function rest(funnel: FunnelSession): JsonObject {
  const { email: _email, customerInfo: _customer, products: _products, paymentToken: _token, ...kept } = funnel;
  return kept;
}

/** Forms go one step at a time, so the steps before the present one are completed ones. */
function stepsOf({ currentStep, completedSteps }: ProjectSession): Translated['steps'] {
  return { currentStep, completedSteps: [...new Set(completedSteps)].sort((a, b) => a - b) };
}

/** The members of `old` that `present` does not have: what is in the session already is never overwritten. */
export function missing(old: JsonObject, present: JsonObject): JsonObject {
  return Object.fromEntries(Object.entries(old).filter(([name]) => present[name] == null));
}

function isObject(value: Json | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
