"""docs/openapi.json: Powertools describes each operation, this package merges them and adds what all share."""
