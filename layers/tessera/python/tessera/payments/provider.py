"""The contract of a payment provider. docs/checkout.md says how a company plugs in its own.

tests/contract/test_provider.py is what every provider must pass.
"""

from typing import Protocol

from tessera.model.payments import Charge, Intent, Means


class PaymentProvider(Protocol):
    """Who takes payments. Both calls must end within ten seconds, and never log what is in `means`."""

    def charge(self, intent: Intent, means: Means) -> Charge:
        """Make the charge, or say what became of it: `intent.key` is the idempotency key.

        However often it is called with one key, at once or in a day's time, the customer pays once at most, and
        every call that is answered gets the same answer. Means that the provider does not know are declined.

        Raises:
            Unavailable: there was no answer. The charge may have been made or not.

        """
        ...

    def find(self, key: str) -> Charge | None:
        """Return what became of the charge with that idempotency key; None when none was made.

        Raises:
            Unavailable: there was no answer.

        """
        ...
