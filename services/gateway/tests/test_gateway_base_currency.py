"""Sums in a base currency: exact cross rates, and nothing dropped where there is none."""

from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal, localcontext
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.rates.currencies import ISO_4217
from gateway.rates.port import Rate
from gateway.rates.table import DIGITS, RateTable, cross
from gateway.reads.view import NO_SOURCE, SOME_MISSING
from gateway.settings import GatewaySettings
from service_kit.settings import EX_CONFIG, load

AS_OF = datetime(2026, 11, 20, tzinfo=UTC)
PER_DOLLAR = {"EUR": Decimal("0.92"), "GBP": Decimal("0.79"), "JPY": Decimal("151.37")}
rates = st.decimals(min_value="0.000001", max_value="1000000", places=6)


@given(rates, rates)
def test_a_cross_rate_is_right_to_eighteen_digits(base, currency):
    found, true = cross(base, currency), Fraction(base) / Fraction(currency)
    assert abs(Fraction(found) - true) <= true / 2 / 10 ** (DIGITS - 1)
    assert cross(base, base) == 1


async def test_a_table_answers_what_it_holds_and_leaves_out_the_rest():
    table = RateTable(PER_DOLLAR, AS_OF)
    found = await table.rates("EUR", {"USD", "GBP", "BTC"}, AS_OF)
    assert found == {
        "USD": Rate(Decimal("0.92"), AS_OF, "table"),
        "GBP": Rate(Decimal("1.16455696202531646"), AS_OF, "table"),
    }
    assert await table.rates("CAD", {"USD"}, AS_OF) == {}
    assert await RateTable({}, AS_OF).rates("USD", {"USD"}, AS_OF) == {}


def test_codes_of_currencies_are_three_capitals():
    assert all(len(code) == 3 and code.isascii() and code.isupper() for code in ISO_4217)
    assert {"USD", "EUR", "GBP", "CAD", "JPY", "CHF"} <= ISO_4217
    assert "XXX" not in ISO_4217


@pytest.fixture
def settings(make_settings):
    return make_settings(fx_rates=PER_DOLLAR, fx_rates_as_of=AS_OF)


def hold(seed, *amounts, user="alice"):
    """Positions of these currencies and values."""
    account = seed.account(seed.connection(user), user)
    for n, (currency, value) in enumerate(amounts):
        key = f"T{n}"
        part = {"account_id": account, "provider": "snaptrade", "quantity": "1", "market_value": "0",
                "cost_basis": None}  # fmt: skip
        more = {"market_value": value, "value_complete": value is not None, "currency": currency}
        seed.position(key, seed.instrument(f"{user}-{key}"), [part], user, **more)


def rounded(value):
    with localcontext(prec=60):
        return value.quantize(Decimal("1e-10"), ROUND_HALF_UP)


async def test_totals_are_converted_exactly_and_their_parts_add_up(api, seed):
    hold(seed, ("USD", "100.01"), ("USD", "0.0000000001"), ("GBP", "33.33"), ("JPY", "-1000"), ("EUR", "5"))
    body = (await api.get("/v1/portfolio/summary?base=EUR")).json()
    base = body["base"]
    assert (base["currency"], base["complete"], base["without_rate"], base["hint"]) == ("EUR", True, [], None)
    expected = {
        "EUR": Decimal(5),
        "GBP": rounded(Decimal("33.33") * cross(PER_DOLLAR["EUR"], PER_DOLLAR["GBP"])),
        "JPY": rounded(Decimal(-1000) * cross(PER_DOLLAR["EUR"], PER_DOLLAR["JPY"])),
        "USD": rounded(Decimal("100.0100000001") * Decimal("0.92")),
    }
    assert {row["currency"]: Decimal(row["in_base"]) for row in base["rates"]} == expected
    assert Decimal(base["market_value"]) == sum(expected.values())
    clocks = {row["currency"]: (row["as_of"], row["source"]) for row in base["rates"]}
    assert clocks["EUR"] == (None, "identity")
    assert clocks["GBP"] == (AS_OF.isoformat(), "table")
    without = (await api.get("/v1/portfolio/summary")).json()
    assert body == without | {"base": base}


async def test_what_has_no_rate_is_listed_apart_and_makes_the_sum_incomplete(api, seed):
    hold(seed, ("USD", "100"), ("BTC", "2"), ("CAD", "7"), ("CAD", None))
    base = (await api.get("/v1/portfolio/summary?base=GBP")).json()["base"]
    assert (base["market_value"], base["complete"], base["hint"]) == ("79", False, SOME_MISSING)
    assert base["without_rate"] == [
        {"currency": "BTC", "market_value": "2", "complete": True, "positions": 1},
        {"currency": "CAD", "market_value": "7", "complete": False, "positions": 2},
    ]


async def test_a_value_that_is_unknown_makes_the_sum_incomplete_too(api, seed):
    hold(seed, ("USD", "100"), ("USD", None))
    base = (await api.get("/v1/portfolio/summary?base=USD")).json()["base"]
    assert (base["market_value"], base["complete"], base["without_rate"]) == ("100", False, [])


async def test_positions_and_groups_carry_the_base_beside_what_is_stored(api, seed):
    hold(seed, ("USD", "100"), ("BTC", "2"), ("USD", None), ("EUR", "1"))
    page = (await api.get("/v1/positions?base=EUR&limit=2")).json()
    more = (await api.get(f"/v1/positions?base=EUR&limit=2&cursor={page['next_cursor']}")).json()
    assert [row["base"]["market_value"] for row in page["items"] + more["items"]] == ["92", None, None, "1"]
    assert [row["base"]["rate"] for row in page["items"]] == ["0.92", None]
    whole = (await api.get("/v1/portfolio/summary?base=EUR")).json()["base"]
    assert page["base"] == more["base"] == whole
    assert (whole["market_value"], whole["complete"]) == ("93", False)
    body = (await api.get("/v1/positions?base=EUR&group_by=currency")).json()
    assert body["base"] == whole
    groups = {group["key"]: group["base"] for group in body["groups"]}
    assert sum(Decimal(one["market_value"]) for one in groups.values()) == 93
    assert (groups["BTC"]["market_value"], groups["BTC"]["complete"]) == ("0", False)
    assert groups["BTC"]["without_rate"][0]["currency"] == "BTC"
    assert "base" not in (await api.get("/v1/positions")).json()


@pytest.mark.parametrize("base", ["XXX", "BTC", "eur", "E", "EURO", "'; DROP", ""])
async def test_a_currency_nobody_knows_is_refused(api, base):
    for path in ("/v1/portfolio/summary", "/v1/positions"):
        answer = await api.get(path, params={"base": base})
        assert (answer.status_code, answer.json()["error"]["code"]) == (422, "VALIDATION_FAILED")


class TestADeploymentWithoutRates:
    @pytest.fixture
    def settings(self, make_settings):
        return make_settings()

    async def test_everything_is_listed_apart_with_a_hint(self, api, seed):
        hold(seed, ("USD", "100"), ("CAD", "7"))
        base = (await api.get("/v1/portfolio/summary?base=EUR")).json()["base"]
        assert (base["market_value"], base["complete"], base["hint"]) == ("0", False, NO_SOURCE)
        assert [row["currency"] for row in base["without_rate"]] == ["CAD", "USD"]
        itself = (await api.get("/v1/portfolio/summary?base=CAD")).json()["base"]
        assert (itself["market_value"], itself["complete"], itself["hint"]) == ("7", False, NO_SOURCE)

    async def test_nothing_held_is_a_whole_sum_of_nothing(self, api):
        base = (await api.get("/v1/portfolio/summary?base=EUR")).json()["base"]
        assert base == {
            "currency": "EUR", "market_value": "0", "complete": True, "rates": [], "without_rate": [], "hint": None,
        }  # fmt: skip


class TestADeploymentThatPricesCoins:
    @pytest.fixture
    def settings(self, make_settings):
        return make_settings(fx_rates={"BTC": Decimal("0.00001")}, fx_rates_as_of=AS_OF)

    async def test_a_coin_with_a_rate_is_a_currency_like_any_other(self, api, seed):
        hold(seed, ("USD", "100"), ("BTC", "2"))
        dollars = (await api.get("/v1/portfolio/summary?base=USD")).json()["base"]
        assert (dollars["market_value"], dollars["complete"]) == ("200100", True)
        coins = (await api.get("/v1/portfolio/summary?base=BTC")).json()["base"]
        assert (coins["market_value"], coins["complete"]) == ("2.001", True)


GOOD = {
    "SERVICE_AUTH_SECRET": "s" * 40,
    "DATABASE_URL": "postgresql://gateway@db/onefolio",
    "AMQP_URL": "amqp://gateway@mq/",
    "CONNECTOR_URLS": "plaid=http://plaid-connector:8000",
    "JWT_SECRET": "j" * 40,
}


@pytest.fixture
def environ(monkeypatch):
    for name in ("OIDC_ISSUER", "ONEFOLIO_ENVIRONMENT", "FX_RATES", "FX_RATES_AS_OF", "CASH_PROXIES"):
        monkeypatch.delenv(name, raising=False)
    for name, value in GOOD.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


async def test_rates_are_read_from_the_environment(environ):
    environ.setenv("FX_RATES", "USD=1, EUR=0.92,GBP=0.79")
    environ.setenv("FX_RATES_AS_OF", "2026-11-20")
    environ.setenv("CASH_PROXIES", "USD:SGOV, CAD:CASH.TO")
    settings = load(GatewaySettings)
    assert settings.cash_proxies == "USD:SGOV,CAD:CASH.TO"
    assert (await settings.rates.rates("USD", ["EUR"], AS_OF))["EUR"].as_of == AS_OF


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("FX_RATES", "EUR=canary"), ("FX_RATES", "EUR=0"), ("FX_RATES", "EUR=-1"), ("FX_RATES", "EUR=NaN"),
        ("FX_RATES", "eur=0.9"), ("FX_RATES", "EUR"), ("FX_RATES", "USD=2"), ("FX_RATES", "EUR=Infinity"),
        ("FX_RATES_AS_OF", "canary"), ("FX_RATES_AS_OF", "2026-13-01"), ("FX_RATES_AS_OF", "2026-11-20T10:00:00"),
        ("CASH_PROXIES", "USD=CANARY"),
    ],
)  # fmt: skip
def test_wrong_rates_end_the_start_and_are_named(environ, capsys, name, value):
    environ.setenv("FX_RATES", "EUR=0.92")
    environ.setenv("FX_RATES_AS_OF", "2026-11-20")
    environ.setenv(name, value)
    with pytest.raises(SystemExit) as ended:
        load(GatewaySettings)
    assert ended.value.code == EX_CONFIG
    told = capsys.readouterr().err
    assert name in told
    assert "canary" not in told.lower().replace("canaries", "")


def test_rates_without_their_time_end_the_start(environ, capsys):
    environ.setenv("FX_RATES", "EUR=0.92")
    with pytest.raises(SystemExit):
        load(GatewaySettings)
    assert "FX_RATES_AS_OF" in capsys.readouterr().err
