"""The HTML of Hosted Link: plain forms that work on a phone and without scripts. Pure."""

from collections.abc import Iterable
from html import escape

from provider_sandbox.world import Institution

_STYLE = """
:root { color-scheme: light dark; --ink: #16181d; --soft: #5c6370; --line: #d9dce3; --card: #fff; --page: #f2f4f8;
  --accent: #0b5fff; --bad: #b3261e; }
@media (prefers-color-scheme: dark) { :root { --ink: #eceef3; --soft: #a2a9b8; --line: #383d4a; --card: #1d2028;
  --page: #12141a; --accent: #7aa7ff; --bad: #ff8a80; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink); font: 1rem/1.5 system-ui, sans-serif; }
main { max-width: 27rem; margin: 6vh auto; padding: 1.75rem; background: var(--card); border: 1px solid var(--line);
  border-radius: 1rem; }
@media (max-width: 30rem) { main { margin: 0; min-height: 100vh; border: 0; border-radius: 0; } }
h1 { font-size: 1.35rem; line-height: 1.25; margin: 0 0 .5rem; }
p { color: var(--soft); margin: 0 0 1.25rem; }
.mark { font-size: .8rem; letter-spacing: .04em; text-transform: uppercase; color: var(--soft); margin: 0 0 1.25rem; }
.problem { color: var(--bad); }
label, legend { display: block; font-weight: 600; margin: 0 0 .35rem; padding: 0; }
input, select { width: 100%; font: inherit; color: inherit; background: transparent; padding: .7rem .8rem;
  border: 1px solid var(--line); border-radius: .6rem; margin: 0 0 1.1rem; }
select option { color: #16181d; }
button { width: 100%; font: inherit; font-weight: 600; padding: .8rem; border: 0; border-radius: .6rem; cursor: pointer;
  color: #fff; background: #0b5fff; }
button.quiet { background: transparent; color: var(--soft); margin-top: .6rem; }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
ul { list-style: none; margin: 0 0 1rem; padding: 0; border-top: 1px solid var(--line); }
li a { display: flex; justify-content: space-between; padding: .85rem .25rem; border-bottom: 1px solid var(--line);
  color: inherit; text-decoration: none; }
li a span { color: var(--soft); }
li a:hover { color: var(--accent); }
"""
_OUTCOMES = {
    "success": "Connect",
    "INVALID_CREDENTIALS": "Wrong password",
    "INVALID_MFA": "Wrong security code",
    "ITEM_LOCKED": "Account locked",
    "NO_ACCOUNTS": "No accounts",
    "NO_INVESTMENT_ACCOUNTS": "No investment account shared",
    "USER_SETUP_REQUIRED": "Set-up needed at the institution",
    "MFA_NOT_SUPPORTED": "Unsupported sign-in method",
    "INSTITUTION_NOT_RESPONDING": "Institution does not respond",
    "INSTITUTION_NO_LONGER_SUPPORTED": "Institution no longer supported",
    "cancel": "Leave without connecting",
}


def _page(title: str, content: str) -> str:
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head>"
        f'<body><main><p class="mark">Plaid sandbox</p><h1>{escape(title)}</h1>{content}</main></body></html>'
    )


def _cancel_form(label: str) -> str:
    return (
        '<form method="post"><input type="hidden" name="outcome" value="cancel">'
        f'<button class="quiet">{escape(label)}</button></form>'
    )


def pick(client_name: str, institutions: Iterable[Institution], query: str) -> str:
    """The list of institutions with a search field."""
    rows = "".join(
        f'<li><a href="?institution_id={escape(item.plaid_id or "")}">{escape(item.name)}<span>&rsaquo;</span></a></li>'
        for item in institutions
    )
    return _page(
        "Select your institution",
        f"<p>{escape(client_name)} uses a local imitation of Plaid: no real account is involved.</p>"
        '<form method="get" role="search"><label for="q">Search institutions</label>'
        f'<input id="q" name="q" type="search" value="{escape(query)}"></form>'
        + (f"<ul>{rows}</ul>" if rows else "<p>No institution fits.</p>")
        + _cancel_form("Leave"),
    )


def sign_in(client_name: str, institution: Institution, username: str, *, repair: bool) -> str:
    """The sign-in form: user name, password and the outcome to play."""
    verb = "Reconnect" if repair else "Connect"
    options = "".join(
        f'<option value="{escape(value)}">{escape(label)}</option>' for value, label in _OUTCOMES.items()
    )
    return _page(
        f"{verb} {institution.name}",
        f"<p>Sign in so that {escape(client_name)} can read your accounts. Any password works here.</p>"
        '<form method="post" autocomplete="off">'
        f'<input type="hidden" name="institution_id" value="{escape(institution.plaid_id or "")}">'
        '<label for="username">User name</label>'
        f'<input id="username" name="username" required value="{escape(username)}" autocapitalize="none">'
        '<label for="password">Password</label>'
        '<input id="password" name="password" type="password" value="pass_good">'
        f'<label for="outcome">What should happen</label><select id="outcome" name="outcome">{options}</select>'
        f"<button>{verb}</button></form>" + _cancel_form("Leave without connecting"),
    )


def done(*, succeeded: bool, reason: str | None) -> str:
    """The last page when there is no address to return to."""
    if succeeded:
        return _page("You are connected", "<p>You can close this page and go back to the app.</p>")
    problem = f'<p class="problem">{escape(reason)}</p>' if reason else ""
    return _page("Not connected", problem + "<p>Nothing was shared. You can close this page.</p>")


def gone() -> str:
    """A link that expired, was used, or never existed."""
    return _page(
        "This link cannot be used", "<p>It has expired or was already used. Ask the app for a new one.</p>"
    )


def problem(title: str, text: str) -> str:
    """A form that cannot be read."""
    return _page(title, f'<p class="problem">{escape(text)}</p>')
