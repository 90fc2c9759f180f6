"""One verifier per provider: is a delivery genuine, and which copy of which event is it."""

from typing import Protocol

from webhooks.delivery import Authentic, RawDelivery


class Verifier(Protocol):
    """Tells genuine deliveries of one provider from others."""

    provider: str

    async def verify(self, delivery: RawDelivery) -> Authentic:
        """Vouch for a delivery.

        Raises:
            ForgedError: it is not genuine.
            CannotVerifyError: that cannot be told now.
        """
        ...
