"""HTTP: one adapter over Powertools' resolver that gives every handler what all of them need."""
