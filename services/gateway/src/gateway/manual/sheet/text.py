"""From bytes to text: the encodings that spreadsheets write, and where a file is in none of them. Pure."""

import codecs

from gateway.manual.sheet.faults import UnreadableError

UTF_8, UTF_16, WINDOWS = "utf-8", "utf-16", "windows-1252"
_UTF_32 = (codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)
_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def decode(raw: bytes) -> tuple[str, str]:
    """The text of a file and its encoding: UTF-8, UTF-16 with a byte order mark, or Windows-1252.

    Raises:
        UnreadableError: it is in none of these; ``offset`` and ``row`` say where it breaks.
    """
    if raw.startswith(_UTF_32):
        raise UnreadableError("encoding", "The file is UTF-32; save it as UTF-8.", row=1, offset=0)
    if raw.startswith(_UTF_16):
        return _decoded(raw, "utf-16"), UTF_16
    if raw.count(0) > len(raw) // 4:
        message = "The file has no byte order mark but looks like UTF-16; save it as UTF-8."
        raise UnreadableError("encoding", message, row=1, offset=raw.find(0))
    try:
        return raw.decode("utf-8-sig"), UTF_8
    except UnicodeDecodeError as error:
        if _nearly_utf_8(raw):
            raise _broken(raw, "UTF-8", error) from error
    return _decoded(raw, "cp1252"), WINDOWS


def _decoded(raw: bytes, codec: str) -> str:
    try:
        return raw.decode(codec)
    except UnicodeDecodeError as error:
        name = "UTF-16" if codec == "utf-16" else "UTF-8 nor Windows-1252"
        raise _broken(raw, name, error) from error


def _nearly_utf_8(raw: bytes) -> bool:
    """Whether most of what is not ASCII is UTF-8: then a bad byte is damage, not another encoding."""
    text = raw.decode("utf-8", "surrogateescape")
    bad = sum("\udc80" <= one <= "\udcff" for one in text)
    good = sum(one > "\x7f" for one in text) - bad
    return good >= bad


def _broken(raw: bytes, encoding: str, error: UnicodeDecodeError) -> UnreadableError:
    start = error.start
    row = (
        raw[:start].decode("utf-16", "ignore").count("\n") + 1
        if encoding == "UTF-16"
        else raw.count(b"\n", 0, start) + 1
    )
    verb = "is neither" if "nor" in encoding else "is not"
    message = f"Byte {start} (line {row}) {verb} {encoding}."
    return UnreadableError("encoding", message, row=row, offset=start)
