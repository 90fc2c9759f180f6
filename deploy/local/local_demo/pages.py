"""A person at the provider's page: reads the form, fills it in, sends it."""

from html.parser import HTMLParser
from urllib.parse import urljoin

import httpx


class _Form(HTMLParser):
    """The members of the first form of a page, with the values it would send untouched."""

    def __init__(self) -> None:
        super().__init__()
        self.values: dict[str, str] = {}
        self.action = ""
        self._open = False
        self._done = False
        self._select: str | None = None

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attributes}
        if tag == "form" and not self._done and given.get("method", "").lower() == "post":
            self._open, self.action = True, given.get("action", "")
        if not self._open:
            return
        if tag in {"input", "button"} and given.get("name"):
            self.values.setdefault(given["name"], given.get("value", ""))
        elif tag == "select":
            self._select = given.get("name")
        elif tag == "option" and self._select:
            self.values.setdefault(self._select, given.get("value", ""))

    def handle_endtag(self, tag: str) -> None:
        if tag == "select":
            self._select = None
        elif tag == "form" and self._open:
            self._open, self._done = False, True


class Visit:
    """A provider's page, opened and filled in; ``finish`` sends it.

    Raises:
        RuntimeError: the page or the answer to its form is an error.
    """

    def __init__(self, url: str, *, username: str = "demo", choices: dict[str, str] | None = None) -> None:
        self._browser = httpx.Client(timeout=10, trust_env=False)
        page = self._browser.get(url, follow_redirects=True)
        if page.status_code != httpx.codes.OK:
            raise RuntimeError(f"the provider's page answered {page.status_code}")
        form = _Form()
        form.feed(page.text)
        self._target = urljoin(str(page.url), form.action or str(page.url))
        self._values = form.values | {"username": username} | (choices or {})

    def finish(self) -> None:
        """Send the form with its first offered outcome, which is success."""
        answer = self._browser.post(self._target, data=self._values)
        self._browser.close()
        if answer.status_code >= httpx.codes.BAD_REQUEST:
            raise RuntimeError(f"the provider's form answered {answer.status_code}")


def sign_in(url: str) -> None:
    """Sign in at a provider's page as the demo's person."""
    Visit(url).finish()
