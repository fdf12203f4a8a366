"""Changes and clauses as DynamoDB's expressions, with short placeholders for every name and value."""

from collections.abc import Iterable, Mapping
from typing import Any

from tessera.model.changes import Change, Clause, Operator, Path
from tessera.stores.attributes import AttributeValue, encode

_CONDITIONS: Mapping[Operator, str] = {
    "is": "{path} = {value}",
    "is not": "NOT {path} = {value}",
    "present": "attribute_exists({path})",
    "absent": "attribute_not_exists({path})",
    "object": "attribute_type({path}, {map})",
    "at most": "{path} <= {value}",
    "after": "{path} > {value}",
}


class Expressions:
    """The expressions of one request and the placeholders that they share."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}
        self._values: dict[str, AttributeValue] = {}

    def condition(self, clauses: Iterable[Clause]) -> dict[str, str]:
        """Render the clauses as the ConditionExpression of a request; nothing when there are none."""
        text = " AND ".join(self._clause(clause) for clause in clauses)
        return {"ConditionExpression": text} if text else {}

    def update(self, change: Change) -> dict[str, str]:
        """Render what the change assigns, counts up and removes as the UpdateExpression of a request."""
        parts = {
            "SET": [f"{self.path(path)} = {self.value(value)}" for path, value in change.assign.items()],
            "ADD": [f"{self.path(path)} {self.value(amount)}" for path, amount in change.add.items()],
            "REMOVE": [self.path(path) for path in sorted(change.remove)],
        }
        text = " ".join(f"{verb} {', '.join(terms)}" for verb, terms in parts.items() if terms)
        return {"UpdateExpression": text} if text else {}

    def placeholders(self) -> dict[str, Any]:
        """Return the names and values that the expressions stand on, as the members of a request."""
        members: dict[str, Any] = {}
        if self._names:
            members["ExpressionAttributeNames"] = {short: name for name, short in self._names.items()}
        if self._values:
            members["ExpressionAttributeValues"] = self._values
        return members

    def path(self, path: Path) -> str:
        """Return the placeholder of a path, e.g. #0.#1."""
        return ".".join(self._names.setdefault(name, f"#{len(self._names)}") for name in path)

    def value(self, value: Any) -> str:
        """Return the placeholder of a value, e.g. :0."""
        short = f":{len(self._values)}"
        self._values[short] = encode(value)
        return short

    def _clause(self, clause: Clause) -> str:
        template = _CONDITIONS[clause.operator]
        return template.format(
            path=self.path(clause.path),
            value=self.value(clause.value) if "{value}" in template else "",
            map=self.value("M") if "{map}" in template else "",
        )
