"""The whole state as JSON and back: what control changed in the world, and what each provider remembers.

Not in it: calls, faults, latencies, disorder of webhooks, rate-limit windows, deliveries and queued work.
"""

from dataclasses import dataclass
from functools import cache
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError

from provider_sandbox.plaid import picture as plaid
from provider_sandbox.plaid.face import PlaidFace
from provider_sandbox.snaptrade import picture as snaptrade
from provider_sandbox.snaptrade.face import SnapTradeFace
from provider_sandbox.state import State
from provider_sandbox.world import Account, Login, Security, World

_AnyFace = TypeVar("_AnyFace")


class PictureError(ValueError):
    """Bytes that are no picture, or one of a sandbox with other data or settings."""


@dataclass(frozen=True, slots=True)
class WorldPicture:
    """The entries that are not as in the data."""

    securities: tuple[Security, ...]
    accounts: tuple[Account, ...]
    logins: tuple[Login, ...]
    version: int


@dataclass(frozen=True, slots=True)
class Picture:
    """Everything remembered."""

    world: WorldPicture
    rate_limits: dict[str, int]
    snaptrade: snaptrade.SnapTradePicture
    plaid: plaid.PlaidPicture


def take(state: State) -> bytes:
    """Return the state at this moment; equal states give equal bytes."""
    picture = Picture(
        world=_take_world(state.world),
        rate_limits=dict(state.rate_limits),
        snaptrade=snaptrade.take(_face(state, SnapTradeFace)),
        plaid=plaid.take(_face(state, PlaidFace)),
    )
    return _adapter().dump_json(picture)


def put_back(state: State, body: bytes) -> None:
    """Make a state that was just built the one in the picture; raises PictureError, without quoting secrets."""
    try:
        picture = _adapter().validate_json(body)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise PictureError(f"has a content this version does not understand at {where!r}") from error
    state.world = _put_back_world(picture.world)
    state.rate_limits.update(picture.rate_limits)
    try:
        snaptrade.put_back(_face(state, SnapTradeFace), picture.snaptrade)
        plaid.put_back(_face(state, PlaidFace), picture.plaid)
    except (KeyError, ValueError) as error:
        raise PictureError(f"does not fit the data or the settings of this sandbox: {error}") from error


@cache
def _adapter() -> TypeAdapter[Picture]:
    return TypeAdapter(Picture)


def _face(state: State, kind: type[_AnyFace]) -> _AnyFace:
    return next(face for face in state.faces.values() if isinstance(face, kind))


def _take_world(world: World) -> WorldPicture:
    data = World.fresh()
    return WorldPicture(
        securities=tuple(s for key, s in world.securities.items() if s is not data.securities.get(key)),
        accounts=tuple(a for key, a in world.accounts.items() if a is not data.accounts.get(key)),
        logins=tuple(login for key, login in world.logins.items() if login is not data.logins.get(key)),
        version=world.version,
    )


def _put_back_world(picture: WorldPicture) -> World:
    world = World.fresh()
    world.securities.update({item.key: item for item in picture.securities})
    world.accounts.update({item.key: item for item in picture.accounts})
    world.logins.update({(item.username, item.institution): item for item in picture.logins})
    world.version = picture.version
    return world
