"""What DynamoDB says that calls consume, by botocore's own events. Knows no package of ours, nor of others."""

from typing import Any

READS = ("GetItem", "Query", "Scan", "BatchGetItem", "TransactGetItems")


class Meter:
    """Adds up write capacity, calls and bytes of a client, since the last look; for one thread."""

    def __init__(self, client: Any) -> None:
        self.units, self.calls, self.sent = 0.0, 0, 0
        events = client.meta.events
        # The last event before the request is built: boto3's resource copies the parameters at an earlier one.
        events.register("before-parameter-build.dynamodb", self._ask)
        events.register("before-send.dynamodb", self._count)
        events.register("after-call.dynamodb", self._note)

    def taken(self) -> tuple[float, int, int]:
        """Return write capacity units, calls and bytes sent."""
        taken = self.units, self.calls, self.sent
        self.units, self.calls, self.sent = 0.0, 0, 0
        return taken

    @staticmethod
    def _ask(params: dict[str, Any], model: Any, **_: Any) -> None:
        if "ReturnConsumedCapacity" in model.input_shape.members:
            params["ReturnConsumedCapacity"] = "TOTAL"

    def _count(self, request: Any, **_: Any) -> None:
        self.calls += 1
        self.sent += len(request.body or b"")

    def _note(self, parsed: dict[str, Any], model: Any, **_: Any) -> None:
        said = parsed.get("ConsumedCapacity", [])
        if model.name not in READS:
            self.units += sum(part["CapacityUnits"] for part in (said if isinstance(said, list) else [said]))
