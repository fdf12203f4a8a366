/** The steps of a form: one forward at a time, back to any completed one. */

export interface Steps {
  currentStep: number;
  completedSteps: number[];
}

/** The patches that lead from what the service has to what the user has, each a move that forms allow. */
export function moves(from: Steps, to: Steps): Steps[] {
  const way: Steps[] = [];
  let at = from;
  while (at.currentStep < to.currentStep) {
    const completed = to.completedSteps.includes(at.currentStep) ? [at.currentStep] : [];
    at = { currentStep: at.currentStep + 1, completedSteps: union(at.completedSteps, completed) };
    way.push(at);
  }
  const last = { currentStep: to.currentStep, completedSteps: union(at.completedSteps, to.completedSteps) };
  return same(last, at) ? way : [...way.slice(0, -1), ...merged(way.at(-1), last)];
}

export function same(one: Steps, other: Steps): boolean {
  return (
    one.currentStep === other.currentStep && one.completedSteps.join() === union(other.completedSteps, []).join()
  );
}

/** A last step forward may complete others with the same patch. */
function merged(before: Steps | undefined, last: Steps): Steps[] {
  return before === undefined || before.currentStep === last.currentStep ? [last] : [before, last];
}

function union(some: number[], others: number[]): number[] {
  return [...new Set([...some, ...others])].sort((a, b) => a - b);
}
