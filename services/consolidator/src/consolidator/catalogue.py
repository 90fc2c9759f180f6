"""The instruments this process knows: each provider's description is written once, then only referred to.

Descriptions are content-addressed: the id of an instrument is a digest of all that was said about it, so a
row never changes, needs no lock and means the same to every replica.
"""

from collections.abc import Iterable
from hashlib import blake2b
from uuid import UUID

from consolidator.domain.values import InstrumentRef
from contracts.envelope import encode_data
from contracts.instruments import Instrument, InstrumentKind

FIGI_KINDS = frozenset(InstrumentKind) - {
    InstrumentKind.OPTION,
    InstrumentKind.FUTURE_OPTION,
    InstrumentKind.CASH,
    InstrumentKind.CRYPTO,
}
"""Kinds for which one FIGI is one thing; an option may carry the FIGI of its underlying."""
CAPACITY = 200_000


class Catalogue:
    """Instruments by content and by id, and the ones that no committed transaction has written yet."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._capacity = capacity
        self._by_key: dict[str, list[tuple[Instrument, InstrumentRef]]] = {}
        self._by_id: dict[str, InstrumentRef] = {}
        self._unsaved: dict[str, tuple[InstrumentRef, Instrument]] = {}

    def ref(self, instrument: Instrument) -> InstrumentRef:
        """The reference to an instrument, known or new."""
        variants = self._by_key.get(instrument.key)
        if variants is not None:
            for known, ref in variants:
                if known == instrument:
                    return ref
        return self._remember(instrument)

    def find(self, instrument_id: str) -> InstrumentRef | None:
        """The reference with this id, if this process has met it."""
        return self._by_id.get(instrument_id)

    def learn(self, instrument_id: str, key: str, kind: str, ticker: str | None, figi: str | None) -> None:
        """Remember a stored instrument; ``figi`` is given only where it identifies the thing."""
        self._by_id[instrument_id] = InstrumentRef(
            instrument_id=instrument_id, key=key, kind=kind, ticker=ticker, figi=figi
        )

    def unsaved(self, wanted: set[str]) -> list[tuple[InstrumentRef, Instrument]]:
        """Those of these instruments that may not be stored yet, sorted so that writers never deadlock."""
        return [self._unsaved[one] for one in sorted(wanted & self._unsaved.keys())]

    def saved(self, instruments: Iterable[str]) -> None:
        """These are committed."""
        for one in instruments:
            self._unsaved.pop(one, None)

    def _remember(self, instrument: Instrument) -> InstrumentRef:
        if len(self._by_id) >= self._capacity:
            # Forgetting costs a repeated write or read; what is not stored yet is never forgotten.
            self._by_id.clear()
            self._by_key.clear()
        ref = reference(instrument)
        self._by_id[ref.instrument_id] = ref
        self._by_key.setdefault(instrument.key, []).append((instrument, ref))
        self._unsaved[ref.instrument_id] = (ref, instrument)
        return ref


def reference(instrument: Instrument) -> InstrumentRef:
    """What the rules need of an instrument, with the id of its full description."""
    return InstrumentRef(
        instrument_id=str(UUID(bytes=blake2b(encode_data(instrument), digest_size=16).digest())),
        key=instrument.key,
        kind=instrument.kind.value,
        ticker=instrument.symbol,
        figi=joining_figi(instrument),
    )


def joining_figi(instrument: Instrument) -> str | None:
    """The FIGI, where one FIGI means one thing."""
    return instrument.figi if instrument.kind in FIGI_KINDS else None
