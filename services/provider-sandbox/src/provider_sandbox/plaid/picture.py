"""What Plaid remembers as plain values, for the state file, and how it is put back."""

from dataclasses import dataclass

from provider_sandbox.plaid.books import Books
from provider_sandbox.plaid.face import PlaidFace
from provider_sandbox.plaid.items import Item, PublicToken
from provider_sandbox.plaid.limits import LIMITS, Limit
from provider_sandbox.plaid.links import LinkToken
from provider_sandbox.plaid.quirks import QUIRKS, Quirk
from provider_sandbox.plaid.signing import KeptKey
from provider_sandbox.plaid.surprises import Surprises


@dataclass(frozen=True, slots=True)
class PlaidPicture:
    """The face: Items (removed ones too), tokens, signing keys, and what control changed."""

    items: tuple[Item, ...]
    public_tokens: dict[str, PublicToken]
    links: tuple[LinkToken, ...]
    keys: tuple[KeptKey, ...]
    limits: dict[str, Limit]
    quirks: dict[str, Quirk]
    surprises: Surprises
    shouting_status: bool
    books: Books | None = None


def take(face: PlaidFace) -> PlaidPicture:
    """Return what the face remembers; it shares values with the face and is to be encoded at once."""
    return PlaidPicture(
        items=tuple(face.items),
        public_tokens=dict(face.items.public_tokens()),
        links=tuple(face.links),
        keys=face.keys.kept(),
        limits={path: limit for path, limit in face.limits.limits.items() if limit != LIMITS.get(path)},
        quirks={slug: quirk for slug, quirk in face.quirks.items() if quirk != QUIRKS.get(slug)},
        surprises=face.surprises,
        shouting_status=face.shouting_status,
        books=face.books,
    )


def put_back(face: PlaidFace, picture: PlaidPicture) -> None:
    """Fill a face that was just built; raises ValueError when a signing key cannot be read."""
    face.items.restore(picture.items, picture.public_tokens)
    face.links.restore(picture.links)
    face.keys.restore(picture.keys)
    face.limits.limits.update(picture.limits)
    face.quirks.update(picture.quirks)
    face.surprises = picture.surprises
    face.shouting_status = picture.shouting_status
    face.books = picture.books or face.books
