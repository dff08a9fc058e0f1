"""Scripted misbehaviour: what the next POSTs will go through, by name.

In: names, or objects with a name and options, from Python or from `POST /_emulator/script`. Out: `Faults` per POST.
Never in here: how a fault is carried out (that is where the spoiled thing is made).

A fault is any row of the error table (`rate-ipm`, `size-too-small`, `internal` …) or one of `BEHAVIOURS`. As text its
first option may follow the name: `"stop-after 2"`, `"retry-after: 7"`. One POST can have several: `["rate-ipm",
"retry-after: 7"]`. `null` or `"ok"` lets a POST pass unharmed.
"""

from __future__ import annotations

import json
import re
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from seedframe.catalog import ApiErrorRow
from seedframe.emulator.refusal import BLANKS, Refusal, error_rows
from seedframe.errors import InvalidRequest
from seedframe.geometry import Size
from seedframe.messages import Message

BEHAVIOURS: Mapping[str, Mapping[str, Any]] = {
    "latency": {"seconds": 1.0},
    "drop-before-answer": {"billed": True},
    "drop-mid-answer": {"billed": True},
    "hang": {"billed": True},
    "html-200": {"billed": True},
    "html-413": {"billed": False},
    "html-502": {"billed": False},
    "html-503": {"billed": False},
    "html-504": {"billed": True},
    "empty-data": {"billed": False},
    "error-200": {"error": "output-image-sensitive", "billed": False},
    "unwrapped": {"error": "size-too-small", "billed": False},
    "nested": {"error": "size-too-small", "billed": False},
    "junk-picture": {"index": None},
    "truncated-picture": {"index": None},
    "truncated-base64": {"index": None},
    "wrong-size": {"to": "1024x1024", "index": None},
    "wrong-format": {"index": None},
    "pixel-bomb": {"index": None},
    "download-404": {"index": None},
    "download-cut": {"index": None},
    "slot-error": {"index": 0, "code": "OutputImageSensitiveContentDetected"},
    "stop-after": {"after": 1},
    "cut-stream": {"after": 1},
    "no-completed": {},
    "error-frame": {"after": 1, "error": "internal"},
    "json-to-stream": {},
    "gzip": {},
    "retry-after": {"seconds": 5},
    "url-timeout": {"billed": False},
    "preset-shape": {"ratio": "3:2"},
}
"""Every behaviour with its options and their defaults. `billed`: whether the pictures were made all the same;
`index`: which picture of a group, None for all."""

DAMAGES = (
    "junk-picture",
    "truncated-picture",
    "truncated-base64",
    "wrong-size",
    "wrong-format",
    "pixel-bomb",
    "download-404",
    "download-cut",
)
SHORT = re.compile(r"([^\s:]*):?\s*(.*)", re.DOTALL)
INSTEAD = ("error-200", "unwrapped", "nested")


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault with all its options filled in."""

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def read(cls, wanted: object) -> Fault:
        """Read a name, `"name value"`, an object with `name`, or a `Fault`; InvalidRequest with the list otherwise."""
        if isinstance(wanted, Fault):
            return wanted
        if isinstance(wanted, str):
            name, value = SHORT.fullmatch(wanted.strip()).groups()  # type: ignore[union-attr]  # matches any text
            given = {_first_option(name): _number_or_text(value)} if value else {}
        elif isinstance(wanted, Mapping):
            given = dict(wanted)
            name = str(given.pop("name", ""))
        else:
            name, given = str(wanted), {}
        defaults = _defaults(name)
        strange = set(given) - set(defaults)
        if strange:
            raise _unknown("emulator.unknown-option", f"{name}: {', '.join(sorted(strange))}", sorted(defaults))
        options = {**defaults, **given}
        for option, check in CHECKED.items():
            if options.get(option) is not None:
                check(options[option])
        return cls(name, options)


@dataclass(frozen=True, slots=True)
class Faults:
    """What one POST goes through."""

    all: tuple[Fault, ...] = ()

    @classmethod
    def read(cls, entry: object) -> Faults:
        """Read one entry of a script: nothing, a fault, or several together."""
        if entry in (None, "ok", "", []):
            return cls()
        if isinstance(entry, Faults):
            return entry
        together = entry if isinstance(entry, list | tuple) else [entry]
        return cls(tuple(Fault.read(item) for item in together))

    def __getitem__(self, name: str) -> Mapping[str, Any] | None:
        """Look up the options of a planned fault; None when it is not planned."""
        return next((fault.options for fault in self.all if fault.name == name), None)

    def __contains__(self, name: str) -> bool:
        return self[name] is not None

    @property
    def names(self) -> tuple[str, ...]:
        """As the record of requests shows them."""
        return tuple(fault.name for fault in self.all)

    @property
    def billed(self) -> bool:
        """Whether pictures are made and billed although the answer is spoiled."""
        return all(fault.options.get("billed", True) for fault in self.all)

    def refusal(self, body: Mapping[str, Any]) -> Refusal | None:
        """Word the scripted error answer for this body."""
        about = {key: body[key] for key in ("model",) if isinstance(body.get(key), str)}
        if "url-timeout" in self:
            return Refusal("reference-url-timeout", url=_first_url(body))
        for fault in self.all:
            if fault.name in error_rows():
                given = {key: value for key, value in fault.options.items() if key not in {"billed", "param"}}
                return Refusal(fault.name, param=fault.options.get("param") or "", **about | given)
            if fault.name in INSTEAD:
                return Refusal(error_row(fault.options["error"]).name, **about)
        return None

    def damage(self, index: int) -> Fault | None:
        """How picture `index` is spoiled."""
        damages = (fault for fault in self.all if fault.name in DAMAGES)
        return next((fault for fault in damages if fault.options["index"] in (None, index)), None)

    def slot_error(self, index: int) -> str | None:
        """Tell the code with which picture `index` fails."""
        errors = (fault.options for fault in self.all if fault.name == "slot-error")
        return next((str(options["code"]) for options in errors if options["index"] == index), None)


@dataclass(slots=True)
class Script:
    """What awaits the following POSTs: one entry each, and `always` when the entries are used up."""

    entries: deque[Faults] = field(default_factory=deque)
    always: Faults = field(default_factory=Faults)

    def load(self, wanted: object) -> None:
        """Replace the script by a list of entries or by `{"script": [...], "always": ...}`."""
        if isinstance(wanted, Mapping):
            entries, always = wanted.get("script", []), wanted.get("always")
        else:
            entries, always = wanted, None
        if not isinstance(entries, Iterable) or isinstance(entries, str):
            raise _unknown(
                "emulator.script-shape", json.dumps(wanted, default=str)[:200], ["[...]", '{"script": [...]}']
            )
        read = deque(Faults.read(entry) for entry in entries)
        self.entries, self.always = read, Faults.read(always)

    def next(self) -> Faults:
        """Take what the POST that has just arrived goes through."""
        return self.entries.popleft() if self.entries else self.always


def scripted(*entries: object) -> tuple[Faults, ...]:
    """Build a script from Python: `emulator(script=scripted("rate-ipm", None, {"name": "latency", "seconds": 2}))`."""
    return tuple(Faults.read(entry) for entry in entries)


def error_row(name_or_code: str) -> ApiErrorRow:
    """Find a row by its name, or the first one with that code."""
    rows = error_rows()
    found = rows.get(name_or_code) or next((row for row in rows.values() if row.code == name_or_code), None)
    if found is None:
        raise _unknown("emulator.unknown-fault", name_or_code, sorted(rows))
    return found


CHECKED: Mapping[str, Callable[[str], object]] = {"error": error_row, "code": error_row, "to": Size.parse}
"""Options whose values are checked when a script is read rather than in the middle of an answer."""


def _defaults(name: str) -> Mapping[str, Any]:
    if name in BEHAVIOURS:
        return BEHAVIOURS[name]
    if name in error_rows():
        return {"billed": False, **dict.fromkeys(BLANKS)}
    raise _unknown("emulator.unknown-fault", name, [*BEHAVIOURS, *error_rows()])


def _first_option(name: str) -> str:
    return next(iter(_defaults(name)), "value")


def _number_or_text(value: str) -> object:
    try:
        return json.loads(value)
    except ValueError:
        return value


def _first_url(body: Mapping[str, Any]) -> str | None:
    for key in ("image", "image_url", "image_urls", "images"):
        value = body.get(key)
        first = value[0] if isinstance(value, list) and value else value
        if isinstance(first, str) and first.startswith("http"):
            return first
    return None


def _unknown(key: str, got: str, allowed: list[str]) -> InvalidRequest:
    return InvalidRequest(Message(key, got=got, allowed=allowed), field="script", got=got, allowed=allowed)
