"""Daily budgets. Pure."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import StrEnum


class Exhausted(StrEnum):
    """Whose budget does not allow it."""

    USER = "user_budget"
    EVERYBODY = "global_budget"


@dataclass(frozen=True, slots=True)
class Limits:
    """What may be spent a day on refreshes, by the user and by all users together; None is no limit."""

    user: Decimal | None
    everybody: Decimal | None


@dataclass(frozen=True, slots=True)
class Spent:
    """What has been spent or reserved on a day."""

    user: Decimal = Decimal(0)
    everybody: Decimal = Decimal(0)

    def plus(self, amount: Decimal) -> "Spent":
        """The same after one more reservation."""
        return Spent(self.user + amount, self.everybody + amount)


def exhausted(price: Decimal, spent: Spent, limits: Limits) -> Exhausted | None:
    """The budget that a price does not fit into; a budget may be spent to the last cent. Nothing costs nothing."""
    if price == 0:
        return None
    if limits.user is not None and spent.user + price > limits.user:
        return Exhausted.USER
    if limits.everybody is not None and spent.everybody + price > limits.everybody:
        return Exhausted.EVERYBODY
    return None


def day_of(moment: datetime) -> date:
    """The day (UTC) whose budget a moment belongs to."""
    return moment.astimezone(UTC).date()


def next_day(moment: datetime) -> datetime:
    """When the next day's budgets begin."""
    return datetime.combine(day_of(moment) + timedelta(days=1), time(), UTC)
