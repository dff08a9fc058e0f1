"""What must never be shown or stored, taken out: keys, signed addresses, pictures as text.

In: any JSON-like value, free text, log records, and the secrets a door knows. Out: the same with marks in their place.
Never in here: the environment, a decision about what is shown where.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import logging
import re
import traceback
from collections.abc import Iterable, Mapping
from typing import Any

MARK = "[redacted]"
# Shorter values are no keys, and blanking them would tear words apart.
SHORTEST_SECRET = 4
# A run this long is no word and no path; a picture as text is thousands of characters.
_LONGEST_WORD = 256
_DATA_URI = re.compile(r"data:(?P<mime>[\w.+-]+/[\w.+-]+)?(?:;[\w.=+-]+)*,(?P<body>[^\s\"'<>\\]*)", re.IGNORECASE)
_BASE64 = re.compile(rf"[A-Za-z0-9+/_-]{{{_LONGEST_WORD},}}={{0,2}}")
# Nested JSON strings write an address with `\/` and `\u0026`.
_REST = r"(?:[^\s\"'<>\\，。；、）】」》]|\\/|\\u[0-9a-fA-F]{4})*"
_USER = re.compile(r"(?P<scheme>\b[a-z][a-z0-9+.-]{1,20}:(?:\\?/){2})[^\s/?#\"'<>\\@]+@", re.IGNORECASE)
_QUERY = re.compile(
    r"(?P<address>\b[a-z][a-z0-9+.-]{1,20}:(?:\\?/){2}(?:[^\s?#\"'<>\\，。；、）】」》]|\\/)*)[?#]" + _REST,
    re.IGNORECASE,
)
_SIGNED = re.compile(
    r"(?P<name>\bX-(?:Tos|Amz|Goog|Oss|Cos)-[\w-]+)(?P<is>\s*[=:]\s*|[\"']\s*:\s*[\"'])[^&\s\"',;]+", re.IGNORECASE
)
_HEADER = re.compile(
    r"(?P<name>\bauthorization[\"']?\s*[:=]\s*[\"']?)(?:(?:Bearer|Basic)\s+)?[^\s\"',;}]+", re.IGNORECASE
)
# A digit tells a token from the words after "standard bearer".
_BEARER = re.compile(r"(?P<scheme>\b(?:Bearer|Basic)\s+)(?=[\w.~+/=-]*\d)[\w.~+/=-]{12,}", re.IGNORECASE)
_KEY_SHAPE = re.compile(r"\bsk-[\w-]{16,}")
_SECRET_NAME = re.compile(
    r"(?:^|[_-])(?:authorization|api[_-]?key|access[_-]?key|secret|password|(?:access|auth|session)[_-]?token)$",
    re.IGNORECASE,
)
_TELLTALE = re.compile(rf"[:=]|bearer|basic|sk-|[A-Za-z0-9+/_-]{{{_LONGEST_WORD}}}", re.IGNORECASE)
"""What every pattern above needs; most texts have none of it."""

_MAGIC = ((b"\x89PNG", "image/png"), (b"\xff\xd8\xff", "image/jpeg"), (b"GIF8", "image/gif"), (b"RIFF", "image/webp"))


def redact(value: Any, secrets: Iterable[str] = ()) -> Any:
    """The same value, safe to show and to store; tuples come back as lists, bytes as a description of them.

    `secrets` are keys known to the caller; they go wherever they stand. Queries of addresses, bearer tokens, values
    under key-like names, data URIs and long base64 go without being named.
    """
    known = sorted({secret for secret in secrets if len(secret) >= SHORTEST_SECRET}, key=len, reverse=True)
    return _redact(value, known)


class Redacting(logging.Filter):
    """A filter for log *handlers* (a logger's own filter is not asked about its children's records)."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        super().__init__()
        self._secrets = tuple(secrets)

    def filter(self, record: logging.LogRecord) -> bool:
        """Let every record pass, with its text, exception and stack redacted."""
        record.msg, record.args = redact(_said(record), self._secrets), None
        if record.exc_info and not record.exc_text:
            record.exc_text = "".join(traceback.format_exception(*record.exc_info)).rstrip("\n")
        # The formatter prints exc_text as it is; left in place, exc_info would let another one print the original.
        record.exc_info = None
        record.exc_text = record.exc_text and redact(record.exc_text, self._secrets)
        record.stack_info = record.stack_info and redact(record.stack_info, self._secrets)
        return True


def _said(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except (TypeError, ValueError, KeyError):
        # A wrong format string must not become an exception in the code that logs.
        return f"{record.msg} {record.args!r}"


def _redact(value: Any, secrets: list[str]) -> Any:
    if isinstance(value, str):
        return _text(value, secrets)
    if isinstance(value, (bytes, bytearray, memoryview)):
        return _described(bytes(value), None)
    if isinstance(value, Mapping):
        return {_redact(key, secrets): _named(key, item, secrets) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_redact(item, secrets) for item in value]
    return value


def _named(name: Any, value: Any, secrets: list[str]) -> Any:
    if isinstance(name, str) and isinstance(value, str) and value and _SECRET_NAME.search(name):
        return MARK
    return _redact(value, secrets)


def _text(text: str, secrets: list[str]) -> str:
    for secret in secrets:
        text = text.replace(secret, MARK)
    if not _TELLTALE.search(text):
        return text
    text = _DATA_URI.sub(_data_uri, text)
    text = _BASE64.sub(lambda found: _decoded(found[0], None), text)
    text = _USER.sub(rf"\g<scheme>{MARK}@", text)
    text = _QUERY.sub(rf"\g<address>?{MARK}", text)
    text = _SIGNED.sub(rf"\g<name>\g<is>{MARK}", text)
    text = _HEADER.sub(rf"\g<name>{MARK}", text)
    text = _BEARER.sub(rf"\g<scheme>{MARK}", text)
    return _KEY_SHAPE.sub(MARK, text)


def _data_uri(found: re.Match[str]) -> str:
    return _decoded(found["body"], found["mime"] or "text/plain")


def _decoded(text: str, mime: str | None) -> str:
    """A description of what base64 text holds, or of the text itself where it is cut or no base64."""
    padded = text.rstrip("=").translate({ord("-"): "+", ord("_"): "/"})
    try:
        return _described(base64.b64decode(padded + "=" * (-len(padded) % 4), validate=True), mime)
    except (binascii.Error, ValueError):
        return _described(text.encode("utf-8", "surrogatepass"), mime)


def _described(data: bytes, mime: str | None) -> str:
    known = mime or next((name for magic, name in _MAGIC if data.startswith(magic)), "application/octet-stream")
    return f"[{known}, {len(data)} bytes, sha256 {hashlib.sha256(data).hexdigest()[:12]}]"
