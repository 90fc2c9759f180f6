"""What columns are called, by brokers and in several languages. Data and its look-up; pure."""

import re
import unicodedata
from collections.abc import Mapping, Sequence

NAMES: Mapping[str, str] = {
    "symbol": """symbol, ticker, ticker symbol, stock symbol, symbol/cusip, instrument key, kürzel, tickersymbol,
        symbole, mnémo, mnémonique, símbolo, clave, simbolo, symbool, código""",
    "name": """name, description, security name, security description, investment name, fund name, holding,
        security, product, bezeichnung, wertpapier, wertpapierbezeichnung, name des wertpapiers, libellé, nom, valeur
        mobilière, descripción, nombre, descrizione, titolo, omschrijving, naam, produkt, descrição, ativo""",
    "type": """security type, asset type, asset class, instrument type, product type, type, wertpapierart, gattung,
        anlageklasse, type d'actif, classe d'actif, tipo de activo, tipo, tipo di strumento, soort""",
    "quantity": """quantity, qty, qty (quantity), shares, units, no. of shares, number of shares, amount of shares,
        shares owned, holding quantity, position, anzahl, stück, stück/nominale, menge, bestand, nominale, quantité,
        nombre de titres, cantidad, títulos, participaciones, acciones, quantità, aantal, quantidade""",
    "currency": """currency, currency code, ccy, price currency, trading currency, währung, whg, devise, divisa,
        moneda, valuta, munt, moeda""",
    "price": """price, last price, share price, market price, current price, close price, closing price, last,
        unit price, quote, price per share, nav, kurs, aktueller kurs, schlusskurs, cours, dernier cours, precio,
        último precio, cotización, prezzo, prezzo di mercato, quotazione, koers, slotkoers, preço""",
    "market_value": """market value, mkt val (market value), current value, total value, value, position value,
        mkt value, market val, holding value, marktwert, kurswert, gesamtwert, wert, valorisation, valeur, valeur
        totale, valor de mercado, valor, controvalore, valore di mercato, waarde, marktwaarde, valor atual""",
    "cost_basis": """cost basis, cost basis total, total cost, total cost basis, book cost, book value, cost,
        purchase value, amount invested, einstandswert, kaufwert, anschaffungswert, prix de revient total, montant
        investi, coste total, coste, costo totale, valore di carico, aankoopwaarde, custo total""",
    "cost_per_unit": """average cost basis, average cost, avg cost, avg. cost, average price, avg price, cost/share,
        cost per share, unit cost, cost per unit, purchase price, average purchase price, avg cost per share,
        einstandskurs, einstandspreis, kaufkurs, durchschnittskurs, pru, prix de revient unitaire, prix de revient,
        precio medio, coste medio, prezzo medio, prezzo medio di carico, gak, aankoopprijs, preço médio""",
    "price_as_of": """price as of, as of, as of date, price date, pricing date, quote date, date, kursdatum, datum,
        stand, date du cours, fecha, fecha de precio, data prezzo, data, koersdatum""",
    "figi": "figi, openfigi",
    "isin": "isin, isin code, isin-code, code isin, código isin, codice isin",
    "cusip": "cusip, cusip number",
    "multiplier": "multiplier, contract size, contract multiplier, kontraktgröße, multiplicateur, multiplicador",
}
"""Field → the names of its column, best first."""
ACCOUNT_NAMES = """account number, account no, account #, account id, account, kontonummer, depotnummer, depot,
    numéro de compte, compte, número de cuenta, cuenta, numero conto, conto, rekeningnummer, rekening"""
FIDELITY_ONLY = frozenset({"lastpricechange", "percentofaccount"})
"""Its column ``Type`` says how a position is paid for (cash or margin), not what it is."""
LONGEST_NAME = 200
"""Characters of a cell that are looked at: no column is called more."""
_APART = re.compile(r"[^\w#/]+|_")


def fold(name: str) -> str:
    """A column's name without case, accents, blanks and punctuation."""
    name = name[:LONGEST_NAME].casefold()
    if name.isascii():
        return _APART.sub("", name)
    plain = unicodedata.normalize("NFKD", name)
    return _APART.sub("", "".join(one for one in plain if not unicodedata.combining(one)))


def _folded(names: str) -> list[str]:
    return [fold(" ".join(name.split())) for name in names.split(",")]


def _by_name() -> dict[str, list[tuple[str, int]]]:
    known: dict[str, dict[str, int]] = {}
    for field, names in NAMES.items():
        for rank, name in enumerate(_folded(names)):
            known.setdefault(name, {}).setdefault(field, rank)
    return {name: list(fields.items()) for name, fields in known.items()}


_FIELDS = _by_name()
"""Name → the fields it can stand for, with its rank among the names of each."""
_ACCOUNT = frozenset(_folded(ACCOUNT_NAMES))


def detected(cells: Sequence[str]) -> dict[str, int]:
    """Field → column, for each field that a column of these names is known for."""
    folded = [fold(cell) for cell in cells]
    best: dict[str, tuple[int, int]] = {}
    for place, name in enumerate(folded):
        for field, rank in _FIELDS.get(name, ()):
            best[field] = min(best.get(field, (rank, place)), (rank, place))
    found = {field: best[field][1] for field in NAMES if field in best}
    if not FIDELITY_ONLY.isdisjoint(folded):
        found.pop("type", None)
    if "cost_basis" in found:
        # Both say the same; the total was not rounded per share.
        found.pop("cost_per_unit", None)
    return found


def account_column(cells: Sequence[str]) -> int | None:
    """The column that says which account a row belongs to."""
    return next((place for place, cell in enumerate(cells) if fold(cell) in _ACCOUNT), None)
