"""A company's own payment providers, as they plug in: by the names of their factories."""

from typing import Any

from tessera.errors import Unavailable
from tessera.model.payments import Charge, Intent, Means


class Acme:
    """Charges whatever it is asked to."""

    def charge(self, intent: Intent, means: Means) -> Charge:
        assert means.token or means.vault
        return Charge(paid=True, transaction_id=f"acme-{intent.currency}-{intent.amount}")

    def find(self, key: str) -> Charge | None:
        assert key
        return None


class Down:
    """Never answers."""

    def charge(self, _intent: Intent, _means: Means) -> Charge:
        raise Unavailable

    def find(self, _key: str) -> Charge | None:
        raise Unavailable


def provider(graph: Any) -> Acme:
    """The factory gets the graph of the container: settings, clock, clients."""
    assert graph.settings.payment_provider
    return Acme()


def down(_graph: Any) -> Down:
    return Down()
