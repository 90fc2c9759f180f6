"""Which messages may touch the database at all: ones we handle, with ids that are ids."""

import re

import psycopg

from consolidator.handlers import HANDLERS
from consolidator.records import RECORDS
from consolidator.store.arrays import UnstorableTextError
from contracts.messages import Message
from messaging.policy import Outcome, Park

_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_IDS = (
    "connection_id",
    "account_id",
    "decision_id",
    "judgement_id",
    "portfolio_id",
    "request_id",
)
_ID_LISTS = ("account_ids", "portfolio_ids")
MAX_LISTED = 10_000
MAX_USER_ID = 200


def refused(message: Message) -> Park | None:
    """Why a message is set aside unapplied; ``None`` when it may be applied."""
    if type(message) not in HANDLERS and type(message) not in RECORDS:
        return Park(f"the consolidator does not handle {type(message).__name__}")
    user_id = getattr(message, "user_id", "")
    if not user_id or len(user_id) > MAX_USER_ID or "\0" in user_id:
        return Park("the message names no usable user id")
    ids = [getattr(message, name, None) for name in _IDS]
    listed = [one for name in _ID_LISTS for one in getattr(message, name, ())]
    if len(listed) > MAX_LISTED:
        return Park("the message names too many ids")
    ids += listed
    ids += (
        [account.account_id for account in getattr(message, "accounts", ()) or ()] if _lists(message) else []
    )
    if any(one is not None and not _UUID.fullmatch(one) for one in ids):
        return Park("an id in the message is not one of ours")
    return None


def _lists(message: Message) -> bool:
    return isinstance(getattr(message, "accounts", None), list)


def classify(error: BaseException) -> Outcome | None:
    """What a database error means for a message handled alone: values the tables refuse never get better."""
    if isinstance(error, psycopg.DataError | psycopg.IntegrityError):
        return Park(f"the tables refuse it: {type(error).__name__} ({error.sqlstate})", error)
    if isinstance(error, UnstorableTextError):
        return Park(str(error), error)
    return None
