"""The words Plaid accepts in requests and its codes for what has no ISO 4217 currency. Data and nothing else."""

_COUNTRY_CODES = "US CA GB IE FR ES NL DE IT PL BE DK NO SE EE LT LV PT FI AT"
_LANGUAGE_CODES = "da nl en et fr de hi it lv lt no pl pt ro es sv vi"
_PRODUCT_NAMES = """
assets auth identity investments investments_auth liabilities payment_initiation identity_verification transactions
income_verification standing_orders transfer employment recurring_transactions signal statements processor_payments
processor_identity profile
"""
_UNOFFICIAL = (
    "ADA BAT BCH BNB BTC BTG BSV CNH DASH DOGE ETC ETH GBX LSK NEO OMG QTUM USDT XLM XMR XRP ZEC ZRX"
)

COUNTRIES = frozenset(_COUNTRY_CODES.split())
LANGUAGES = frozenset(_LANGUAGE_CODES.split())
PRODUCTS = frozenset(_PRODUCT_NAMES.split())
UNOFFICIAL_CURRENCIES = frozenset(_UNOFFICIAL.split())
