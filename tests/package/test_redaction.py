from __future__ import annotations

import base64
import io
import json
import logging
from hashlib import sha256

import pytest

from seedframe.redaction import Redacting, redact

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 4
DESCRIBED = f"{len(PNG)} bytes, sha256 {sha256(PNG).hexdigest()[:12]}]"
SIGNED = "https://h.tos-cn-beijing.volces.com/a/b.jpeg?X-Tos-Credential=AKLT%2F2026&X-Tos-Signature=abc123"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"see {SIGNED}, please", "see https://h.tos-cn-beijing.volces.com/a/b.jpeg?[redacted] please"),
        (f"下载 {SIGNED}，失败", "下载 https://h.tos-cn-beijing.volces.com/a/b.jpeg?[redacted]，失败"),
        ('{"url":"https:\\/\\/h\\/a?b=1\\u0026c=2"}', '{"url":"https:\\/\\/h\\/a?[redacted]"}'),
        (json.dumps(json.dumps({"url": SIGNED})), '"{\\"url\\": \\"https://h.tos-cn-beijing.volces.com/a/b.jpeg?[redacted]\\"}"'),
        ("https://me:pass@h/a", "https://[redacted]@h/a"),
        ("https://h/a/b.jpeg", "https://h/a/b.jpeg"),
        ("X-Tos-Signature=abc&y=1", "X-Tos-Signature=[redacted]&y=1"),
        ("{'X-Tos-Security-Token': 'abc'}", "{'X-Tos-Security-Token': '[redacted]'}"),
        ("Authorization: Bearer abc", "Authorization: [redacted]"),
        ("sent Bearer 0f3a-5e6b-77aa-1234", "sent Bearer [redacted]"),
        ("sk-abcdefghijklmnopqrst is wrong", "[redacted] is wrong"),
        ("key hunter2hunter2!", "key [redacted]!"),
        (f"data:image/PNG;base64,{base64.b64encode(PNG).decode()}", f"[image/PNG, {DESCRIBED}"),
        (f"got {base64.b64encode(PNG).decode()}.", f"got [image/png, {DESCRIBED}."),
        (f"got {base64.urlsafe_b64encode(PNG).decode().rstrip('=')}", f"got [image/png, {DESCRIBED}"),
        ("A standard bearer marching photorealistically", "A standard bearer marching photorealistically"),
        ("Basic photorealism: what? 1/2 #tag", "Basic photorealism: what? 1/2 #tag"),
        ("/home/user/pictures/shots/001-cat-1.jpg", "/home/user/pictures/shots/001-cat-1.jpg"),
        ("Request id: 021767540021379eff6165463a2ce5f140dae355499e179760c5c",) * 2,
        (sha256(b"").hexdigest(),) * 2,
    ],
)  # fmt: skip
def test_text_loses_what_must_not_be_shown_and_nothing_else(text: str, expected: str):
    assert redact(text, ["hunter2hunter2"]) == expected


def test_a_very_long_text_loses_a_key_in_another_spelling_too():
    spelled = "".join(f"\\u{ord(letter):04x}" for letter in "hunter2hunter2")
    assert redact("so, " * 300_000 + spelled, ["hunter2hunter2"]) == "so, " * 300_000 + "[redacted]"


def test_cut_base64_is_still_taken_out():
    text = base64.b64encode(PNG).decode()[:301]
    assert redact(text) == f"[application/octet-stream, 301 bytes, sha256 {sha256(text.encode()).hexdigest()[:12]}]"


def test_values_are_searched_to_the_bottom_and_otherwise_unchanged():
    value = {
        "headers": {"Authorization": "whatever", "x-api-key": "k", "accept": "*/*"},
        "images": (PNG, {"url": SIGNED}),
        "usage": {"output_tokens": 16384, "token": "prompt"},
        "seed": 7,
        "none": None,
    }
    assert redact(value) == {
        "headers": {"Authorization": "[redacted]", "x-api-key": "[redacted]", "accept": "*/*"},
        "images": [f"[image/png, {DESCRIBED}", {"url": "https://h.tos-cn-beijing.volces.com/a/b.jpeg?[redacted]"}],
        "usage": {"output_tokens": 16384, "token": "prompt"},
        "seed": 7,
        "none": None,
    }


def test_secrets_too_short_to_be_keys_do_not_tear_words_apart():
    assert redact("a cat", ["", "a", "cat"]) == "a cat"


def test_a_secret_that_contains_another_goes_whole():
    assert redact("key abcdefgh", ["abcd", "abcdefgh"]) == "key [redacted]"


def test_redacting_twice_changes_nothing_more():
    once = redact(f"{SIGNED} Authorization: Bearer abcdefgh1234567 data:image/png;base64,AAAA")
    assert redact(once) == once


def test_log_records_are_redacted_with_arguments_exceptions_and_wrong_formats():
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.addFilter(Redacting(["hunter2hunter2"]))
    logger = logging.Logger("test")
    logger.addHandler(handler)
    logger.warning("key %s at %s", "hunter2hunter2", SIGNED)
    logger.warning("wrong %d", "hunter2hunter2")
    try:
        raise ValueError(SIGNED)
    except ValueError:
        logger.exception("no", stack_info=True)
    text = stream.getvalue()
    assert text.startswith(
        "key [redacted] at https://h.tos-cn-beijing.volces.com/a/b.jpeg?[redacted]\nwrong %d ('[redac"
    )
    assert "ValueError: https://h.tos-cn-beijing.volces.com/a/b.jpeg?[redacted]" in text
    assert "abc123" not in text
    assert "hunter2" not in text
