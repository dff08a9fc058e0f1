"""The values that a caller of the studio gets: `Result` and its parts, frozen, in one language, JSON-ready on request.

In: nothing but plain values, or the dictionary that `as_dict` made. Out: the dictionaries of the tools, the sidecars
and the payment record; `from_dict` turns them into the same values again.
Never in here: a message that still needs a language, a file being read, a decision about money.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal, Self

from seedframe.redaction import redact

Status = Literal["done", "partial", "wrong_size", "dry_run"]
Mark = Literal["replayed", "joined", "fetched"]
Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Trust:
    """Whether Seedance accepts a realistic face from a picture.

    `reason` is a keyword for programs (original, given, model, references, backend, changed …), `expires_at` ISO 8601.
    """

    eligible: bool
    reason: str
    expires_at: str | None = None

    def as_dict(self) -> Document:
        """`{eligible, reason, expires_at}`."""
        return {"eligible": self.eligible, "reason": self.reason, "expires_at": self.expires_at}


@dataclass(frozen=True, slots=True)
class LayerPlace:
    """Where a layer lies: `z_index` from the base upwards, `box` (left, top, right, bottom) in pixels of the base."""

    z_index: int
    box: tuple[float, ...] | None
    name: str | None

    def as_dict(self) -> Document:
        """`{z_index, box, name}`."""
        return _document(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """The value of a dictionary that `as_dict` made."""
        box = data["box"]
        return cls(data["z_index"], None if box is None else tuple(box), data["name"])


@dataclass(frozen=True, slots=True)
class Picture:
    """One verified file on disk.

    `method` is `bytes` for exactly what the service sent, otherwise how the file was made from it; `received` is then
    the size that came (`WxH`), `crop` the box that was kept, `moved` how many pixels it was moved to a block border,
    `share_cut` the share of the area that was cut away (0 to 1). `ratio_error` is |width/height - wanted|.
    Where pictures go to an object store, `url` is the object's address and `link` opens it without keys for some days;
    a link is a secret of its kind, so it is neither recorded nor part of `as_dict`.
    """

    id: str
    path: Path
    width: int
    height: int
    mime: str
    bytes: int
    sha256: str
    method: str
    crop: tuple[int, ...] | None
    ratio: str
    trust: Trust
    received: str | None = None
    moved: int | None = None
    share_cut: float | None = None
    ratio_error: float | None = None
    original: Path | None = None
    provenance_ended: bool = False
    wrong_size: bool = False
    layer: LayerPlace | None = None
    notes: tuple[str, ...] = ()
    url: str | None = None
    link: str | None = field(default=None, repr=False, compare=False)

    @property
    def number(self) -> int:
        """Its number in the request, from 1, as its id ends with it."""
        return int(self.id.rpartition("-")[2])

    @property
    def size(self) -> str:
        """`WxH`, in pixels."""
        return f"{self.width}x{self.height}"

    def as_dict(self) -> Document:
        """JSON-ready; empty fields are left out."""
        recorded = _document(replace(self, link=None))
        return {**recorded, "crop": "untouched" if self.crop is None else list(self.crop)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """The value of a dictionary that `as_dict` made."""
        special = {
            "path": Path(data["path"]),
            "crop": None if data["crop"] == "untouched" else tuple(data["crop"]),
            "trust": Trust(**data["trust"]),
            "original": Path(data["original"]) if "original" in data else None,
            "layer": LayerPlace.from_dict(data["layer"]) if "layer" in data else None,
            "notes": tuple(data.get("notes", ())),
        }
        return cls(**{**_fields(cls, data), **special})


@dataclass(frozen=True, slots=True)
class MissingPicture:
    """A picture that did not come: its `index` from 0, why, and whether it is `billed`: yes, no or unknown.

    `fetch_until` is the local time until which a paid picture can still be fetched from the service.
    """

    index: int
    message: str
    billed: str
    code: str | None = None
    advice: str | None = None
    fetch_until: str | None = None

    def as_dict(self) -> Document:
        """JSON-ready; empty fields are left out."""
        return _document(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """The value of a dictionary that `as_dict` made."""
        return cls(**_fields(cls, data))


@dataclass(frozen=True, slots=True)
class Cost:
    """What `pictures` cost; `amount` is None where no price is published.

    `listed` is the date of the price list. `at_most`: part of the answer that would have settled it is missing.
    """

    amount: Decimal | None
    currency: str
    pictures: int
    listed: str
    at_most: bool = False

    def as_dict(self) -> Document:
        """`{amount, currency, pictures, listed}`; the amount as a decimal text. `at_most` where it is so."""
        return {**_document(self), "amount": None if self.amount is None else format(self.amount.normalize(), "f")}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """The value of a dictionary that `as_dict` made."""
        amount = data["amount"]
        return cls(**{**_fields(cls, data), "amount": None if amount is None else Decimal(amount)})


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing noticed about a prompt: a stable code, `error`, `warning` or `info`, what it is and how to mend it."""

    code: str
    severity: str
    message: str
    mend: str | None = None

    def as_dict(self) -> Document:
        """`{code, severity, message, mend}`."""
        return {**_document(self), "mend": self.mend}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """The value of a dictionary that `as_dict` made."""
        return cls(**_fields(cls, data))


@dataclass(frozen=True, slots=True)
class AskedFrame:
    """The size that was asked of the service (`WxH`, a preset or its default), for which `ratio` or `frame`, why."""

    asked: str
    why: str
    ratio: str | None = None
    frame: str | None = None

    def as_dict(self) -> Document:
        """`{asked, ratio?, frame?, why}`."""
        return {"asked": self.asked, **_without_none({"ratio": self.ratio, "frame": self.frame}), "why": self.why}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """The value of a dictionary that `as_dict` made."""
        return cls(**_fields(cls, data))


@dataclass(frozen=True, slots=True)
class RequestSummary:
    """What was asked, of which model and backend, and everything noticed about it.

    `prompt` is what is sent; `original_prompt` what was given where that differs. `dropped` are fields of the brief
    left out for length.
    """

    tool: str
    model: str
    model_id: str
    backend: str
    prompt: str
    frame: AskedFrame
    original_prompt: str | None = None
    brief: Mapping[str, Any] | None = None
    negative_prompt: str | None = None
    dropped: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()
    references: tuple[str, ...] = ()
    seed: int | None = None

    def as_dict(self) -> Document:
        """JSON-ready; empty fields are left out."""
        words = {
            "original_prompt": self.original_prompt,
            "brief": None if self.brief is None else dict(self.brief),
            "negative_prompt": self.negative_prompt,
            "dropped": list(self.dropped) or None,
        }
        return {
            "tool": self.tool,
            "model": self.model,
            "model_id": self.model_id,
            "backend": self.backend,
            "prompt": self.prompt,
            **_without_none(words),
            "frame": self.frame.as_dict(),
            "warnings": list(self.warnings),
            "findings": [finding.as_dict() for finding in self.findings],
            **_without_none({"references": list(self.references) or None, "seed": self.seed}),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """The value of a dictionary that `as_dict` made."""
        special = {
            "frame": AskedFrame.from_dict(data["frame"]),
            "findings": tuple(map(Finding.from_dict, data["findings"])),
            **{name: tuple(data.get(name, ())) for name in ("dropped", "warnings", "references")},
        }
        return cls(**{**_fields(cls, data), **special})


@dataclass(frozen=True, slots=True)
class Result:
    """The result of a request.

    `status` is `done`, `partial` (something is in `missing`), `wrong_size` (a picture is far from the asked size) or
    `dry_run` (nothing was sent: `calls` POSTs with `payload` would be, at `cost`). `mark` says where a result comes
    from that was not made by this call: `replayed`, `joined` or `fetched`. `previews` are small JPEGs, one a picture.
    `addresses`: where the service keeps pictures it just made, by number from 0; signed, for the caller alone and
    never recorded.
    """

    status: Status
    request: RequestSummary
    cost: Cost
    id: str = ""
    emulated: bool = False
    pictures: tuple[Picture, ...] = ()
    missing: tuple[MissingPicture, ...] = ()
    request_ids: tuple[str, ...] = ()
    created: str = ""
    web_searches: int | None = None
    layers_manifest: Path | None = None
    calls: int = 0
    payload: Mapping[str, Any] = field(default_factory=dict)
    mark: Mark | None = None
    previews: tuple[bytes, ...] = field(default=(), repr=False)
    addresses: Mapping[int, str] = field(default_factory=dict, repr=False, compare=False)

    @property
    def paths(self) -> tuple[Path, ...]:
        """The full-size files."""
        return tuple(picture.path for picture in self.pictures)

    @property
    def warnings(self) -> tuple[str, ...]:
        """Everything that differs from the request."""
        return self.request.warnings

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What was noticed about the prompt."""
        return self.request.findings

    def warned(self, *warnings: str) -> Self:
        """The same result with further warnings."""
        return replace(self, request=replace(self.request, warnings=(*self.warnings, *warnings)))

    def redacted(self, secrets: tuple[str, ...]) -> Self:
        """The same result without keys and signed addresses in its texts; `previews` are as they were."""
        data = self.as_dict()
        clean = {name: redact(fact, secrets, long_words=name in _OWN_PATHS) for name, fact in data.items()}
        return replace(self.from_dict(clean), previews=self.previews)

    def as_dict(self) -> Document:
        """The JSON of tools, commands and records, without the previews."""
        if self.status == "dry_run":
            price = {"cost": self.cost.as_dict(), "calls": self.calls, "payload": dict(self.payload)}
            return {"status": self.status, **self.request.as_dict(), **price}
        said = {
            "web_searches": self.web_searches,
            "layers_manifest": self.layers_manifest and str(self.layers_manifest),
        }
        return {
            "status": self.status,
            "id": self.id,
            **self.request.as_dict(),
            "emulated": self.emulated,
            "pictures": [picture.as_dict() for picture in self.pictures],
            "missing": [missing.as_dict() for missing in self.missing],
            "cost": self.cost.as_dict(),
            "request_ids": list(self.request_ids),
            "created": self.created,
            **_without_none(said),
            **({self.mark: True} if self.mark else {}),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """What `as_dict` has written, by this version or an earlier one; there are no previews in it."""
        special = {
            "request": RequestSummary.from_dict(data),
            "cost": Cost.from_dict(data["cost"]),
            "pictures": tuple(map(Picture.from_dict, data.get("pictures", ()))),
            "missing": tuple(map(MissingPicture.from_dict, data.get("missing", ()))),
            "request_ids": tuple(data.get("request_ids", ())),
            "layers_manifest": Path(data["layers_manifest"]) if "layers_manifest" in data else None,
            "mark": next((mark for mark in _MARKS if data.get(mark)), None),
        }
        return cls(**{**_fields(cls, data), **special})


_MARKS: tuple[Mark, ...] = ("replayed", "fetched", "joined")
_OWN_PATHS = frozenset({"pictures", "layers_manifest"})
"""Parts that hold our own paths: long ones must not be taken for base64."""


def _document(value: Any) -> Document:
    """The fields of a value in their order, JSON-ready; those that have their default are left out."""
    return {
        part.name: _plain(getattr(value, part.name))
        for part in fields(value)
        if getattr(value, part.name) != part.default
    }


def _plain(fact: Any) -> Any:
    if isinstance(fact, tuple):
        return list(fact)
    if isinstance(fact, Path):
        return str(fact)
    return fact.as_dict() if hasattr(fact, "as_dict") else fact


def _without_none(values: Mapping[str, Any]) -> Document:
    return {name: value for name, value in values.items() if value is not None}


def _fields(cls: type[Any], data: Mapping[str, Any]) -> Document:
    """The entries of a dictionary that are fields of a value; others are ignored."""
    return {name: data[name] for name in cls.__dataclass_fields__ if name in data}
