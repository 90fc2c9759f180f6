"""Views: groups that add up to the whole, and cash under a chosen ticker. Nothing stored changes."""

import random
from decimal import Decimal

import pytest
from psycopg.types.json import Json

from gateway.reads.view import ProxyError, proxies

PROVIDERS = ("snaptrade", "plaid", "manual")
GROUPINGS = ("account", "provider", "type", "currency")
SUMS = ("quantity", "market_value", "cost_basis")


class Book:
    """Random positions of one user over a few accounts."""

    def __init__(self, seed, user, rnd, *, accounts, positions):
        self.seed, self.user, self.rnd = seed, user, rnd
        self.accounts = []
        for n in range(accounts):
            provider = rnd.choice(PROVIDERS)
            institution = f"broker-{rnd.randint(0, 2)}"
            connection = seed.connection(user, provider, institution)
            account = seed.account(connection, user, provider, institution=institution, name=f"Account {n}")
            self.accounts.append((account, provider))
        for n in range(positions):
            self.position(f"{user}-{n:03d}", rnd.choice(["USD", "EUR", "CAD", "BTC"]))

    def position(self, key, currency):
        rnd, kind = self.rnd, self.rnd.choice(["stock", "etf", "bond"])
        instrument = self.seed.instrument(key, kind)
        # Two names of one instrument may join, so that an account can contribute twice to one position.
        chosen = rnd.choices(self.accounts, k=rnd.randint(1, 2 * len(self.accounts)))
        rows = [
            {"account_id": account, "real_account_id": self.seed.reals[account], "provider": provider,
             "instrument_id": instrument, "price": None, "price_as_of": None, "quantity": self.number(),
             "market_value": rnd.choice([None, self.number()]), "cost_basis": rnd.choice([None, self.number()])}
            for account, provider in chosen
        ]  # fmt: skip
        bare = [row | {"quantity": "0", "market_value": None} for row in rows]
        summed = {name: known(rows, name) for name in SUMS}
        self.seed.position(
            key, instrument, bare, self.user, currency=currency, type=kind, contributions=Json(rows),
            account_ids=sorted({row["account_id"] for row in rows}), **summed,
            value_complete=all(row["market_value"] is not None for row in rows),
            cost_basis_complete=all(row["cost_basis"] is not None for row in rows),
        )  # fmt: skip

    def number(self):
        return format(Decimal(self.rnd.randint(-(10**9), 10**9)) / 10 ** self.rnd.randint(0, 8), "f")


def known(rows, name):
    values = [Decimal(row[name]) for row in rows if row[name] is not None]
    return format(sum(values), "f") if values else None


async def whole(api, user, **query):
    return (await api.get("/v1/positions", user, params={"limit": 500} | query)).json()["items"]


async def walked(api, user, grouping, **query):
    """All groups, page after page."""
    groups, cursor = [], None
    while True:
        asked = {"group_by": grouping, "limit": 2} | query | ({"cursor": cursor} if cursor else {})
        page = (await api.get("/v1/positions", user, params=asked)).json()
        assert len(page["groups"]) <= 2
        groups += page["groups"]
        cursor = page["next_cursor"]
        if cursor is None:
            return groups


def added_up(rows):
    """Sums and completeness per position of rows that carry them."""
    found = {}
    for row in rows:
        identity = row.get("position_id") or row["id"]
        one = found.setdefault(identity, dict.fromkeys(SUMS) | {"value": True, "cost": True})
        for name in SUMS:
            if row[name] is not None:
                one[name] = (one[name] or 0) + Decimal(row[name])
        one["value"] &= row["value_complete"]
        one["cost"] &= row["cost_basis_complete"]
    return found


async def test_groups_of_random_portfolios_add_up_to_the_ungrouped_list(api, seed):
    for n in range(5):
        rnd, user = random.Random(n), f"user-{n}"
        Book(seed, user, rnd, accounts=rnd.randint(1, 5), positions=rnd.randint(0, 25))
        rows = await whole(api, user)
        totals = {row["currency"]: row for row in (await summary(api, user))["totals"]}
        for grouping in GROUPINGS:
            groups = await walked(api, user, grouping)
            assert len({group["key"] for group in groups}) == len(groups)
            parts = [part for group in groups for part in group["parts"]]
            assert added_up(parts) == added_up(rows), grouping
            for currency, total in totals.items():
                shown = [one for group in groups for one in group["totals"] if one["currency"] == currency]
                assert sum(Decimal(one["market_value"]) for one in shown) == Decimal(total["market_value"])
                assert all(one["complete"] for one in shown) is total["complete"]
            for group in groups:
                assert group["positions"] == len(group["parts"])
                assert len({part["position_id"] for part in group["parts"]}) == len(group["parts"])


async def summary(api, user):
    return (await api.get("/v1/portfolio/summary", user)).json()


async def test_groups_by_account_are_the_contributions_of_each_account(api, seed):
    book = Book(seed, "alice", random.Random(7), accounts=4, positions=12)
    expected = {}
    for row in await whole(api, "alice"):
        for part in row["contributions"]:
            slot = (part["real_account_id"], row["id"])
            expected[slot] = expected.get(slot, 0) + Decimal(part["quantity"])
    groups = await walked(api, "alice", "account")
    shown = {
        (group["key"], part["position_id"]): Decimal(part["quantity"])
        for group in groups
        for part in group["parts"]
    }
    assert shown == expected
    order = [(group["account"]["institution"], group["key"]) for group in groups]
    assert order == sorted(order)
    names = {seed.reals[account]: f"Account {n}" for n, (account, _) in enumerate(book.accounts)}
    assert all(group["name"] == names[group["key"]] for group in groups)
    again = await walked(api, "alice", "account")
    assert again == groups


async def test_groups_can_be_of_one_type_and_of_nobody(api, portfolio):
    only = await walked(api, "alice", "account", type="etf")
    assert only == []
    body = (await api.get("/v1/positions?group_by=provider", "bob")).json()
    assert (body["groups"], body["next_cursor"], body["version"]) == ([], None, 0)
    stocks = await walked(api, "alice", "provider", type="stock")
    assert [(group["key"], group["positions"]) for group in stocks] == [("plaid", 2), ("snaptrade", 1)]


async def test_the_tag_of_groups_moves_with_a_name_and_differs_by_view(api, portfolio, seed):
    tags = [
        (await api.get("/v1/positions", params=query)).headers["etag"]
        for query in (
            {},
            {"group_by": "account"},
            {"group_by": "type"},
            {"cash_proxy": "USD:SGOV"},
            {"cash_proxy": "USD:BIL"},
            {"base": "EUR"},
            {"base": "GBP"},
            {"base": "EUR", "cash_proxy": "USD:SGOV"},
            {"base": "EUR", "group_by": "account"},
        )
    ]
    assert len(set(tags)) == len(tags)
    seed._conn.execute("UPDATE portfolio.accounts SET name = 'Other'")
    renamed = await api.get("/v1/positions?group_by=account", headers={"If-None-Match": tags[1]})
    assert (renamed.status_code, renamed.json()["groups"][0]["name"]) == (200, "Other")


def cash(seed, user="alice"):
    """Cash in dollars, and a fund that somebody may show it as."""
    account = seed.account(seed.connection(user), user)
    part = {"account_id": account, "provider": "snaptrade", "market_value": "900", "cost_basis": None}
    for key, kind, quantity in (("CUR:USD", "cash", "900"), ("SGOV", "etf", "9")):
        instrument = seed.instrument(f"{key}", kind)
        seed.position(
            key, instrument, [part | {"quantity": quantity}], user, type=kind, ticker=key.split(":")[-1]
        )
    return account


async def test_cash_is_shown_under_a_ticker_and_never_summed_with_it(api, seed):
    cash(seed)
    plain = await whole(api, "alice")
    shown = await whole(api, "alice", cash_proxy="USD:SGOV,CAD:CASH.TO")
    assert [row["id"] for row in shown] == [row["id"] for row in plain]
    proxied, fund = shown
    assert (proxied["proxy_for"], fund["proxy_for"]) == ("CUR:USD", None)
    assert (proxied["ticker"], fund["ticker"]) == ("SGOV", "SGOV")
    assert proxied["instrument"]["key"] == proxied["instrument"]["symbol"] == "SGOV"
    assert proxied["name"] == proxied["instrument"]["name"] == "SGOV in place of USD cash"
    changed = {"instrument", "ticker", "name", "proxy_for"}
    assert {key: proxied[key] for key in plain[0]} | {
        key: plain[0][key] for key in changed - {"proxy_for"}
    } == plain[0]
    assert fund == plain[1] | {"proxy_for": None}
    one = (await api.get(f"/v1/positions/{proxied['id']}", params={"cash_proxy": "USD:SGOV"})).json()
    assert one == proxied
    assert await whole(api, "alice") == plain
    [group] = await walked(api, "alice", "account", cash_proxy="USD:SGOV")
    assert [(part["instrument_key"], part["quantity"], part["proxy_for"]) for part in group["parts"]] == [
        ("SGOV", "900", "CUR:USD"),
        ("SGOV", "9", None),
    ]
    explained = (await api.get(f"/v1/positions/{proxied['id']}/explain")).json()
    assert explained["position"]["instrument"]["key"] == "CUR:USD"


async def test_pages_meet_under_a_proxy_that_would_sort_elsewhere(api, seed):
    cash(seed)
    first = (await api.get("/v1/positions?limit=1&cash_proxy=USD:ZZZ")).json()
    second = (await api.get(f"/v1/positions?limit=1&cash_proxy=USD:ZZZ&cursor={first['next_cursor']}")).json()
    assert [row["ticker"] for row in first["items"] + second["items"]] == ["ZZZ", "SGOV"]
    assert second["next_cursor"] is None


class TestADeploymentWithProxies:
    @pytest.fixture
    def settings(self, make_settings):
        return make_settings(cash_proxies="USD:SGOV")

    async def test_they_are_shown_to_whoever_does_not_choose(self, api, seed):
        cash(seed)
        [proxied, _] = await whole(api, "alice")
        assert (proxied["ticker"], proxied["proxy_for"]) == ("SGOV", "CUR:USD")
        assert (await api.get(f"/v1/positions/{proxied['id']}")).json() == proxied
        [other, _] = await whole(api, "alice", cash_proxy="USD:BIL")
        assert other["ticker"] == "BIL"
        [bare, _] = await whole(api, "alice", cash_proxy="none")
        assert (bare["instrument"]["key"], "proxy_for" in bare) == ("CUR:USD", False)
        [foreign, _] = await whole(api, "alice", cash_proxy="CAD:CASH.TO")
        assert (foreign["ticker"], foreign["proxy_for"]) == ("USD", None)


WRONG = [
    "", "USD", "USD:", ":SGOV", "USD:SGOV,", "usd:SGOV", "USD:sgov", "USDT:SGOV", "XXX:SGOV", "USD:SGOV,USD:BIL",
    "USD:CUR:USD", "USD:'; DROP", "USD:SGOV.", "USD:" + "A" * 17, "NONE", "USD=SGOV", "USD:\u0410",
    ",".join(["USD:A"] * 21),
]  # fmt: skip


@pytest.mark.parametrize("text", WRONG)
async def test_a_cash_proxy_that_is_none_is_refused_and_not_repeated(bare_api, text):
    answer = await bare_api.get("/v1/positions", params={"cash_proxy": text})
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (422, "VALIDATION_FAILED")
    assert error["details"]["errors"][0]["location"] == ["query", "cash_proxy"]
    assert len(text) <= 5 or text not in answer.text


@pytest.mark.parametrize("text", [text for text in WRONG if text])
def test_a_deployment_with_a_wrong_proxy_does_not_start(make_settings, text):
    with pytest.raises(ProxyError):
        proxies(text)
    with pytest.raises(ValueError, match=r"cash_proxies|CASH_PROXIES"):
        make_settings(cash_proxies=text)


async def test_a_grouping_nobody_knows_is_refused(bare_api):
    answer = await bare_api.get("/v1/positions", params={"group_by": "mood"})
    assert answer.status_code == 422
