"""Institutions the sandbox knows. SnapTrade slugs and Plaid ids follow what the providers publish; two are invented."""

from provider_sandbox.world import Institution

_INVESTING = ("investments", "balance", "transactions")

INSTITUTIONS = (
    Institution(
        "charles-schwab", "Charles Schwab", "SCHWAB", "ins_11", True, _INVESTING, "https://www.schwab.com"
    ),
    Institution("fidelity", "Fidelity", "FIDELITY", "ins_12", False, _INVESTING, "https://www.fidelity.com"),
    Institution(
        "interactive-brokers",
        "Interactive Brokers",
        "INTERACTIVE-BROKERS-FLEX",
        "ins_116530",
        False,
        ("investments",),
        "https://www.interactivebrokers.com",
    ),
    Institution("etrade", "E*TRADE", "ETRADE", "ins_129473", True, _INVESTING, "https://us.etrade.com"),
    Institution(
        "vanguard", "Vanguard", "VANGUARD", "ins_115616", False, _INVESTING, "https://www.vanguard.com"
    ),
    Institution("chase", "Chase", None, "ins_56", False, _INVESTING, "https://www.chase.com"),
    Institution(
        "bank-of-america",
        "Bank of America",
        None,
        "ins_127989",
        False,
        _INVESTING,
        "https://www.bankofamerica.com",
    ),
    Institution(
        "evergreen-retirement",
        "Evergreen Retirement",
        None,
        "ins_900401",
        False,
        ("investments",),
        "https://evergreen.example.test",
        oauth=False,
    ),
    Institution(
        "snaptrade-sandbox",
        "SnapTrade Sandbox",
        "SANDBOX",
        None,
        False,
        (),
        "https://sandbox.example.test",
        ("US", "CA"),
        oauth=False,
        is_paper=True,
    ),
    Institution(
        "first-platypus",
        "First Platypus Bank",
        None,
        "ins_109508",
        False,
        ("assets", *_INVESTING),
        "https://www.plaid.com",
        oauth=False,
    ),
)
