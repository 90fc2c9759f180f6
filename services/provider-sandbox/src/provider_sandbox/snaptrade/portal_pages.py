"""HTML of the connection portal: plain semantic pages that need no script and fit a phone."""

from collections.abc import Mapping, Sequence
from html import escape
from string import Template

_PAGE = Template("""<!doctype html>
<html lang="en" class="$theme">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>$title</title>
<style>
:root { --ink: #14213d; --soft: #5b6478; --paper: #ffffff; --ground: #eef1f6; --line: #ccd3e0; --accent: #1f5eff; }
.dark { --ink: #eef1f6; --soft: #a4adc0; --paper: #1c2333; --ground: #10141f; --line: #3a445c; --accent: #6c95ff; }
* { box-sizing: border-box; }
body { margin: 0; min-height: 100vh; display: grid; place-items: center; padding: 1rem;
  background: var(--ground); color: var(--ink); font: 1rem/1.5 system-ui, sans-serif; }
main { width: min(26rem, 100%); background: var(--paper); border: 1px solid var(--line); border-radius: 1rem;
  padding: 1.5rem; box-shadow: 0 1rem 3rem rgb(0 0 0 / 8%); }
h1 { font-size: 1.35rem; line-height: 1.2; margin: 0 0 .5rem; }
p { margin: 0 0 1rem; color: var(--soft); }
label { display: block; font-weight: 600; margin: 1rem 0 .25rem; }
input, select, button, .button { width: 100%; font: inherit; padding: .7rem .8rem; border-radius: .6rem;
  border: 1px solid var(--line); background: transparent; color: inherit; }
select option { color: #14213d; }
button, .button { display: block; margin-top: 1rem; text-align: center; text-decoration: none; font-weight: 600;
  cursor: pointer; }
.primary { background: var(--accent); border-color: var(--accent); color: #fff; }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
small { color: var(--soft); }
</style>
</head>
<body><main>
$body
</main></body>
</html>
""")


def _page(title: str, body: str, *, dark: bool = False) -> str:
    return _PAGE.substitute(title=escape(title), body=body, theme="dark" if dark else "light")


def _options(choices: Sequence[tuple[str, str]]) -> str:
    return "".join(f'<option value="{escape(value)}">{escape(label)}</option>' for value, label in choices)


def connect_page(
    hidden: Mapping[str, str],
    brokers: Sequence[tuple[str, str]],
    scenarios: Sequence[tuple[str, str]],
    *,
    access: str,
    dark: bool,
) -> str:
    """Return the sign-in form. One broker is shown as text, several as a choice; `hidden` goes back as sent."""
    fields = "".join(
        f'<input type="hidden" name="{escape(k)}" value="{escape(v)}">' for k, v in hidden.items()
    )
    if len(brokers) == 1:
        slug, name = brokers[0]
        heading = f"Connect {escape(name)}"
        choice = f'<input type="hidden" name="broker" value="{escape(slug)}">'
    else:
        heading = "Connect a brokerage"
        choice = f'<label for="broker">Brokerage</label><select id="broker" name="broker">{_options(brokers)}</select>'
    body = f"""<h1>{heading}</h1>
<p>Provider sandbox, no real credentials. The application asks for <strong>{escape(access)}</strong> access.</p>
<form method="post">{fields}{choice}
<label for="username">User name</label>
<input id="username" name="username" value="demo" autocomplete="off" autocapitalize="none" spellcheck="false" required>
<label for="scenario">What should happen</label>
<select id="scenario" name="scenario">{_options(scenarios)}</select>
<button class="primary" name="action" value="finish">Sign in and connect</button>
<button name="action" value="abandon" formnovalidate>Cancel</button>
</form>"""
    return _page(heading, body, dark=dark)


def result_page(title: str, detail: str, *, return_to: str | None, retry: str | None, dark: bool) -> str:
    """Return the result screen, with links back to the application and for another try where there are any."""
    body = f"<h1>{escape(title)}</h1>\n<p>{escape(detail)}</p>"
    if retry is not None:
        body += f'\n<a class="button" href="{escape(retry)}">Try again</a>'
    if return_to is not None:
        body += f'\n<a class="button primary" href="{escape(return_to)}">Return to the application</a>'
    return _page(title, body, dark=dark)
