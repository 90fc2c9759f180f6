"""Where users may be sent back to: exact matches, and no trick to get around them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.redirects import RedirectRefusedError, allowed, is_safe_page, parse

LIST = ("https://app.example.com/linked", "http://localhost:3000/cb", "https://other.example.com")


@pytest.mark.parametrize(
    ("given_", "canonical"),
    [
        ("https://app.example.com/linked", "https://app.example.com/linked"),
        ("https://app.example.com:443/linked", "https://app.example.com/linked"),
        ("https://APP.Example.com/linked?state=a%20b", "https://app.example.com/linked?state=a%20b"),
        ("http://localhost:3000/cb", "http://localhost:3000/cb"),
        ("https://other.example.com", "https://other.example.com/"),
        ("https://other.example.com/?x=1", "https://other.example.com/?x=1"),
    ],
)
def test_what_is_on_the_list_passes_in_its_plain_form(given_, canonical):
    assert allowed(given_, LIST) == canonical


TRICKS = [
    "https://app.example.com@evil.example/linked",
    "https://user:pw@app.example.com/linked",
    "https://app.example.com:pw@evil.example/linked",
    "https://evil.example\\@app.example.com/linked",
    "https://app.example.com\\.evil.example/linked",
    "https:\\\\app.example.com/linked",
    "https:/app.example.com/linked",
    "https:///app.example.com/linked",
    "//app.example.com/linked",
    "//evil.example/linked",
    "https://app.example.com//linked",
    "https://app.example.com/linked/",
    "https://app.example.com/Linked",
    "https://app.example.com/linked/../evil",
    "https://app.example.com/x/../linked",
    "https://app.example.com/./linked",
    "https://app.example.com/%6cinked",
    "https://app.example.com/%2e%2e/linked",
    "https://app.example.com/linked%00",
    "https://app.example.com/linked#frag",
    "https://app.example.com/linked#@evil.example",
    "https://app.example.com/linked\r\nSet-Cookie: x=1",
    "https://app.example.com/linked\n",
    "\nhttps://app.example.com/linked",
    " https://app.example.com/linked",
    "https://app.example.com/linked ",
    "https://app.example.com/lin\tked",
    "https://app.example.com\t/linked",
    "https://app.example.com./linked",
    "https://app.example.com.evil.example/linked",
    "https://evil.example/app.example.com/linked",
    "https://evilapp.example.com/linked",
    "https://example.com/linked",
    "https://app.example.com:8443/linked",
    "https://app.example.com:0/linked",
    "https://app.example.com:99999/linked",
    "https://app.example.com:/linked",
    "https://app.example.com:443:443/linked",
    "http://app.example.com/linked",
    "HTTPS://app.example.com/linked",
    "ftp://app.example.com/linked",
    "javascript:alert(1)",
    "javascript://app.example.com/linked%0aalert(1)",
    "data:text/html,x",
    "https://\u0430pp.example.com/linked",
    "https://app\u3002example.com/linked",
    "https://app.example.com/link\uff45d",
    "https://xn--pp-viac.example.com/linked",
    "https://app.example.com%2eevil.example/linked",
    "https://app.example.com%00.evil.example/linked",
    "https://app.example..com/linked",
    "https://[::1]/linked",
    "https://127.0.0.1/linked",
    "https://2130706433/linked",
    "http://localhost/cb",
    "http://localhost:3001/cb",
    "http://127.0.0.1:3000/cb",
    "https://app.example.com/linked;x",
    'https://app.example.com/linked?"onload=',
    "https://app.example.com/linked?<script>",
    "https://app.example.com/linked?x=\\",
    "https://app.example.com/linked?" + "x" * 3000,
    "",
    "linked",
    "/linked",
    "?",
    "https://",
    "\x00",
    "https://app.example.com/linked\x7f",
    "https://app.example.com/linked\u2028",
]


@pytest.mark.parametrize("trick", TRICKS)
def test_no_trick_gets_past_the_list(trick):
    with pytest.raises(RedirectRefusedError) as refused:
        allowed(trick, LIST)
    assert len(trick) < 4 or trick not in str(refused.value)


@given(st.text(max_size=60), st.integers(0, 30))
def test_an_allowed_address_always_goes_to_a_listed_place(noise, place):
    target = LIST[0]
    text = target[:place] + noise + target[place:]
    try:
        result = allowed(text, LIST)
    except RedirectRefusedError:
        return
    assert parse(result).place in {parse(entry).place for entry in LIST}
    assert allowed(result, LIST) == result
    assert result.isascii()
    assert result.isprintable()


@given(st.text(max_size=200))
def test_reading_any_text_either_works_or_is_refused(text):
    try:
        address = parse(text)
    except RedirectRefusedError:
        return
    assert parse(str(address)) == address


def test_an_empty_list_allows_nothing():
    with pytest.raises(RedirectRefusedError):
        allowed(LIST[0], ())


@pytest.mark.parametrize(
    ("url", "production", "safe"),
    [
        ("https://portal.example.com/x?token=1", True, True),
        ("http://127.0.0.1:9/x", False, True),
        ("http://localhost/x", False, True),
        ("http://127.0.0.1:9/x", True, False),
        ("http://portal.example.com", False, False),
        ("http://127.0.0.1.evil.example/x", False, False),
        ("http://127.0.0.1@evil.example/x", False, False),
        ("https://portal.example.com/\nx", False, False),
        ("https://p\u043ertal.example.com/", False, False),
    ],
)
def test_a_page_is_safe_over_https_or_on_loopback_while_developing(url, production, safe):
    assert is_safe_page(url, production=production) is safe
