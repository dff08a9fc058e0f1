"""Stage 1: a dictionary of arguments becomes a frozen `ImageRequest`, or an error that says how to correct them.

In: a tool's name, its arguments as a host sent them, the catalog and the settings. Out: one request with its warnings.
Never in here: a reference's bytes, the wording of a prompt, a network, money already spent.
"""

from __future__ import annotations

import difflib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from decimal import Decimal
from fractions import Fraction
from functools import cache
from typing import Any

from seedframe.catalog import Catalog, Offer, Price, tool_rows
from seedframe.errors import InvalidRequest
from seedframe.geometry import (
    CENTER,
    TOLERANCE,
    Anchor,
    Size,
    exact_size,
    fit_limits,
    frame_size,
    mismatch,
    nearest_named,
    parse_ratio,
    ratio_text,
)
from seedframe.messages import Message
from seedframe.prompting.brief_schema import tidy_brief
from seedframe.service import schemas
from seedframe.service.argument_size import check_size
from seedframe.service.dialects import dialect_named
from seedframe.settings import Settings

TOOLS = ("generate_image", "edit_image")
ASSET = "asset://"
"""How Seedance names a picture of its own library; Seedream answers 400 "invalid url specified" (recorded 2026)."""

PRESET_SLACK = 1.1025
"""How much larger than its square a preset's picture may be: 1.05 per side, where the price tiers end too (2026)."""


@dataclass(frozen=True, slots=True)
class FrameRequest:
    """The shape that is wanted and what is asked of the service for it.

    `asked` is the string for the wire (None: the model's own default). `expected` is the size that should come back,
    None when the model chooses the shape. `scaled_from` is the caller's size when it was not legal.
    """

    asked: str | None
    expected: Size | None
    ratio: Fraction | None = None
    frame: Size | None = None
    anchor: Anchor = CENTER
    scaled_from: Size | None = None
    why: Message | None = None


@dataclass(frozen=True, slots=True)
class ImageRequest:
    """One checked request. Everything in it is legal for `offer`; what the offer ignores is removed, with a warning.

    `options` holds every parameter of the service that was given, by Seedframe's name; fields of that name only repeat
    those that other stages read.
    """

    tool: str
    offer: Offer
    frame: FrameRequest
    prompt: str | None = None
    brief: Mapping[str, Any] | None = None
    images: tuple[str, ...] = ()
    count: int = 1
    related: bool = False
    negative_prompt: str | None = None
    output_format: str | None = None
    background: str | None = None
    layers: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)
    save_as: str | None = None
    preview: str = "small"
    fit_references: bool = False
    dry_run: bool = False
    as_is: bool = False
    force: bool = False
    fresh: bool = False
    confirm_cost: bool = False
    warnings: tuple[Message, ...] = ()
    price_override: Decimal | None = None
    strict: bool = False
    verbatim: bool = False

    @property
    def calls(self) -> int:
        """How many paid POSTs this request is."""
        return len(dialect_named(self.offer.backend.dialect).calls(self))

    def weight(self, outputs: int) -> int:
        """How many pictures a POST for `outputs` counts for in time and rate; layers reserve a fixed number."""
        return int(self.offer.parameters["layers"].extra["images_per_minute"]) if self.layers else outputs

    @property
    def group(self) -> int | None:
        """The size of the related set, None for unrelated pictures."""
        return self.count if self.related else None

    @property
    def image_format(self) -> str:
        """The file format that should come back."""
        return self.output_format or self.offer.model.default_format

    @property
    def most_pixels(self) -> int:
        """The largest picture that may come: known for pixels, bounded for a preset."""
        frame, limits = self.frame, self.offer.limits
        if frame.expected is not None:
            return frame.expected.pixels
        square = self.offer.model.presets.get(frame.asked or "", {}).get("1:1")
        return min(int(square.pixels * PRESET_SLACK), limits.max_pixels) if square else limits.max_pixels

    @property
    def price(self) -> Price:
        """The most this request can cost by the price list; layers are billed each, so their ceiling counts."""
        pixels = self.most_pixels
        outputs = self.count
        if self.layers:
            outputs = int(self.offer.parameters["layers"].extra["max_layers"]) + 1
        if self.price_override is not None:
            return Price(self.price_override * outputs, self.offer.backend.currency)
        each = self.offer.price(pixels=pixels, outputs=outputs, references=len(self.images), layers=self.layers)
        if each.amount is None or self.calls == 1:
            return each
        one = self.offer.price(pixels=pixels, outputs=1, references=len(self.images))
        return Price((one.amount or Decimal(0)) * self.calls, each.currency)


def check(tool: str, arguments: Mapping[str, Any], *, catalog: Catalog, settings: Settings) -> ImageRequest:
    """The request for these arguments.

    InvalidRequest names field, what was given, what is allowed and what to try. `tool` must be one of `TOOLS`.
    """
    given = coerced(tool, arguments)
    offer = catalog.offer(given.pop("model", settings.model), catalog.backend(settings.backend), settings.endpoints)
    given, warnings = _drop_ignored(given, offer)
    if given.get("background") == "transparent" and offer.supports("output_format"):
        given.setdefault("output_format", "png")
    frame = _frame(given, offer, settings)
    legal = {**given, **({"size": frame.asked} if frame.asked else {})}
    _validate(tool, offer, legal, catalog)
    _check_reference_kind(legal, offer)
    notes = [frame.why] if frame.scaled_from and frame.why else []
    if offer.assumed:
        notes.append(Message("catalog.assumed", id=offer.id, model=offer.model.name))
    return _request(tool, offer, frame, given, tuple(warnings + notes), settings)


def _preview(wanted: str | None, settings: Settings) -> str:
    """The size of previews; a call does not overrule a user whose model cannot read pictures."""
    return settings.preview if wanted is None or settings.preview == "none" else wanted


def _request(
    tool: str,
    offer: Offer,
    frame: FrameRequest,
    given: Mapping[str, Any],
    warnings: tuple[Message, ...],
    settings: Settings,
) -> ImageRequest:
    if given.get("seed", 0) < 0:
        given = {name: value for name, value in given.items() if name != "seed"}
    known = {one.name for one in fields(ImageRequest)}
    given = {**given, "preview": _preview(given.get("preview"), settings)}
    return ImageRequest(
        tool=tool,
        offer=offer,
        frame=frame,
        warnings=(*warnings, *_warned(given, offer)),
        price_override=settings.prices.get(offer.model.name),
        strict=settings.strict_prompts,
        options=_options(given, offer),
        **{
            **{name: value for name, value in given.items() if name in known and name != "frame"},
            "images": tuple(given.get("images", ())),
        },
    )


def _options(given: Mapping[str, Any], offer: Offer) -> dict[str, Any]:
    """The service's own parameters among the arguments, and those that are sent even when they are not given."""
    always = {name: False for name, parameter in offer.parameters.items() if parameter.always}
    return always | {name: given[name] for name in offer.parameters if name in given}


def _warned(given: Mapping[str, Any], offer: Offer) -> list[Message]:
    """The warning of the data for a parameter in use."""
    used = (offer.parameters[name].extra.get("warn") for name in offer.parameters if name in given)
    return [Message(key) for key in used if key]


def coerced(tool: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Known names only; null and empty mean absent; values that hosts send as strings get their plain type.

    Hosts that must fill every property send "" (or a neutral value, see `_drop_ignored`) for unused arguments.
    """
    check_size(tool, arguments)
    kinds = schemas.argument_kinds(tool)
    for name in arguments:
        if name not in kinds:
            raise _unknown_argument(name, tuple(kinds))
    given = {name: _without_blanks(value) for name, value in arguments.items()}
    typed = {name: _coerce(name, value, kinds[name]) for name, value in given.items() if not _is_blank(value)}
    if "brief" in typed and isinstance(typed["brief"], Mapping):
        typed["brief"] = tidy_brief(typed["brief"])
    return {name: value for name, value in typed.items() if value != {}}


def _is_blank(value: Any) -> bool:
    return value is None or (isinstance(value, str) and not value.strip())


def _without_blanks(value: Any) -> Any:
    """A list without its empty entries; a list of only such entries stays, so that its length is refused."""
    if not isinstance(value, (list, tuple)):
        return value
    return [entry for entry in value if not _is_blank(entry)]


def _unknown_argument(name: str, known: tuple[str, ...]) -> InvalidRequest:
    close = difflib.get_close_matches(_SYNONYMS.get(name, name), known, n=1)
    advice = Message("requests.did-you-mean", name=close[0]) if close else None
    return InvalidRequest(
        Message("requests.unknown-argument", name=name), field=name, got=name, allowed=list(known), advice=advice
    )


_SYNONYMS = {
    "aspect_ratio": "ratio",
    "n": "count",
    "num_images": "count",
    "image": "images",
    "image_urls": "images",
    "reference_images": "images",
    "negative": "negative_prompt",
    "max_images": "count",
    "resolution": "size",
    "filename": "save_as",
}


def _coerce(name: str, value: Any, kind: str) -> Any:
    if isinstance(value, str) and kind != "string":
        value = _read_text(value, kind)
    if kind == "array" and isinstance(value, str):
        value = [value]
    if kind == "integer" and isinstance(value, float) and value.is_integer():
        value = int(value)
    if kind == "string" and isinstance(value, (int, float)) and not isinstance(value, bool):
        value = str(value)
    if not _is_kind(value, kind):
        raise InvalidRequest(
            Message("requests.wrong-type", name=name, got=_short(value), expected=Message(f"requests.type-{kind}")),
            field=name,
            got=_short(value),
            allowed=kind,
        )
    if not _is_text(value):
        raise InvalidRequest(Message("requests.odd-text", name=name), field=name, got="?", allowed="UTF-8")
    return value


def _is_text(value: Any) -> bool:
    """Whether every text in it can be encoded: half a surrogate pair cannot."""
    try:
        (value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)).encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _read_text(value: str, kind: str) -> Any:
    """A JSON literal of the wanted kind inside a string, else the string as it is."""
    words = {"true": True, "false": False}
    if kind == "boolean":
        return words.get(value.strip().lower(), value)
    try:
        read = json.loads(value)
    except (ValueError, RecursionError):
        return value
    return read if _is_kind(read, kind) or (kind == "integer" and isinstance(read, float)) else value


def _is_kind(value: Any, kind: str) -> bool:
    kinds: dict[str, type | tuple[type, ...]] = {
        "string": str,
        "integer": int,
        "number": (int, float),
        "boolean": bool,
        "array": (list, tuple),
        "object": Mapping,
    }
    if isinstance(value, bool) or (isinstance(value, float) and not math.isfinite(value)):
        return kind == "boolean" and isinstance(value, bool)
    return isinstance(value, kinds[kind])


def _drop_ignored(given: dict[str, Any], offer: Offer) -> tuple[dict[str, Any], list[Message]]:
    """What this offer takes; a warning for each ignored parameter, an error for each refused one."""
    kept, warnings = {}, []
    for name, value in given.items():
        state = offer.parameters[name].state if name in offer.parameters else "supported"
        if _is_neutral(name, value, state, offer):
            continue
        if state == "refused" and value is not False:
            raise _refused(name, value, offer)
        if state == "supported" or name in schemas.RESTATED:
            kept[name] = value
        elif state == "ignored":
            warnings.append(Message("requests.ignored", name=name, model=offer.model.name, backend=offer.backend.name))
    return kept, warnings


def _is_neutral(name: str, value: Any, state: str, offer: Offer) -> bool:
    """Whether a value asks for nothing special: hosts that fill every property send such values."""
    entry = tool_rows()["arguments"].get(name, {})
    if "never" in entry and value == entry["never"]:
        return True
    if state == "ignored" or (state == "supported" and value in _choices(name, offer, value)):
        return False
    if name == "output_format":
        return bool(value == offer.model.default_format)
    return "neutral" in entry and bool(value == entry["neutral"])


def _choices(name: str, offer: Offer, value: Any) -> list[Any]:
    own = offer.parameters[name].schema if name in offer.parameters else {}
    return list(own.get("enum", [value]))


def _refused(name: str, got: Any, offer: Offer) -> InvalidRequest:
    instead = offer.parameters[name].extra.get("instead")
    if name == "output_format":
        message = Message("requests.format-fixed", model=offer.model.name, format=offer.model.default_format, got=got)
    else:
        message = Message("requests.refused", name=name, model=offer.model.name, backend=offer.backend.name)
    advice = Message("requests.refused-advice" if instead else "requests.leave-out", name=name, instead=instead)
    allowed = list(offer.model.formats) if name == "output_format" else []
    return InvalidRequest(message, field=name, got=got, allowed=allowed, advice=advice)


def _frame(given: Mapping[str, Any], offer: Offer, settings: Settings) -> FrameRequest:
    """The size to ask for. Pixels, never a preset, as soon as a shape is wanted."""
    anchor = Anchor.parse(given["anchor"]) if "anchor" in given else CENTER
    frame = frame_size(given["frame"]) if "frame" in given else None
    ratio = _wanted_ratio(given, frame, settings)
    size = str(given.get("size", "")).strip()
    preset = _preset(size, offer)
    if given.get("layers"):
        return FrameRequest(asked=preset, expected=None, ratio=None, frame=None, anchor=anchor)
    if size and preset is None:
        return _pixels(
            Size.parse(size) if _looks_like_size(size) else _no_size(size, offer), ratio, frame, anchor, offer
        )
    if ratio is not None:
        near = offer.model.presets[preset]["1:1"].pixels if preset else offer.model.target_pixels
        exact = exact_size(ratio, max(near, frame.pixels if frame else 0), offer.limits)
        why = Message("requests.size-for-ratio", ratio=ratio_text(ratio), size=exact)
        return FrameRequest(str(exact), exact, ratio, frame, anchor, why=why)
    return FrameRequest(preset, None, None, frame, anchor)


def with_shape_of(request: ImageRequest, shape: Size | None) -> ImageRequest:
    """An edit that names neither ratio nor size keeps the shape of image 1, in pixels that are legal for the model.

    `shape` is image 1 as displayed; None (a URL that is not read here) changes nothing. The pixels of
    image 1 themselves where they are legal and cost no more than the usual area, else the same ratio at that area.
    """
    frame = request.frame
    if shape is None or request.tool != "edit_image" or request.layers or frame.asked or frame.ratio:
        return request
    offer = request.offer
    low, high = offer.limits.ratios
    if not low <= shape.ratio <= high:
        note = Message("shapes.too-slim", shape=str(shape), model=offer.model.name, limits=str(offer.limits))
        return replace(request, warnings=(*request.warnings, note))
    usual = exact_size(shape.ratio, offer.model.target_pixels, offer.limits)
    own = offer.limits.allow(shape) and _price_of(offer, shape) <= _price_of(offer, usual)
    size = shape if own else usual
    why = Message("shapes.of-image-1", shape=str(shape), size=str(size))
    return replace(request, frame=replace(frame, asked=str(size), expected=size, ratio=shape.ratio, why=why))


def _price_of(offer: Offer, size: Size) -> Decimal:
    return offer.price(pixels=size.pixels, outputs=1, references=1).amount or Decimal(0)


def _wanted_ratio(given: Mapping[str, Any], frame: Size | None, settings: Settings) -> Fraction | None:
    if "ratio" in given:
        return parse_ratio(given["ratio"])
    if frame is not None:
        return frame.ratio
    if "size" not in given and settings.ratio:
        return parse_ratio(settings.ratio)
    return None


def _preset(size: str, offer: Offer) -> str | None:
    return next((name for name in offer.model.presets if name.lower() == size.lower()), None)


def _looks_like_size(size: str) -> bool:
    return any(mark in size for mark in "xX*×")


def _no_size(size: str, offer: Offer) -> Size:
    presets = list(offer.model.presets)
    raise InvalidRequest(
        Message("requests.unknown-size", got=size, model=offer.model.name, presets=presets),
        field="size",
        got=size,
        allowed=[*presets, "WxH"],
        advice=Message("requests.unknown-size-advice"),
    )


def _pixels(wanted: Size, ratio: Fraction | None, frame: Size | None, anchor: Anchor, offer: Offer) -> FrameRequest:
    """A caller's own pixels, scaled to be legal. A ratio given as well must match; an exact frame is cut from them."""
    if frame is None and ratio is not None and mismatch(wanted, ratio) > TOLERANCE:
        raise _two_shapes(wanted, ratio, offer)
    legal = fit_limits(wanted, offer.limits)
    if legal == wanted:
        return FrameRequest(str(legal), legal, ratio or wanted.ratio, frame, anchor)
    why = Message("requests.size-scaled", wanted=wanted, size=legal, model=offer.model.name, limits=str(offer.limits))
    return FrameRequest(str(legal), legal, ratio or wanted.ratio, frame, anchor, scaled_from=wanted, why=why)


def _two_shapes(size: Size, ratio: Fraction, offer: Offer) -> InvalidRequest:
    """Size and ratio contradict each other: both ways out."""
    own, other = nearest_named(size.ratio), ratio_text(ratio)
    instead = str(exact_size(ratio, offer.model.target_pixels, offer.limits))
    return InvalidRequest(
        Message("shapes.two-shapes", size=str(size), own=own, ratio=other),
        field="size",
        got={"size": str(size), "ratio": other},
        allowed=[{"size": str(size)}, {"ratio": other}],
        advice=Message("shapes.two-shapes-advice", size=str(size), ratio=other, pixels=instead),
    )


def _check_reference_kind(given: Mapping[str, Any], offer: Offer) -> None:
    """No asset ids, which only the video models read; only addresses, where a gateway fetches the pictures itself."""
    images = given.get("images", ())
    asset = next((image for image in images if str(image).strip().lower().startswith(ASSET)), None)
    if asset is not None:
        raise InvalidRequest(
            Message("references.asset", got=_short(asset)),
            field="images",
            got=_short(asset),
            allowed="path, https URL, data URI, seedframe: id, latest",
            advice=Message("references.asset-advice"),
        )
    if offer.references.by != "url":
        return
    for image in images:
        if not str(image).strip().startswith(("https://", "http://")):
            raise InvalidRequest(
                Message("requests.url-only", backend=offer.backend.title),
                field="images",
                got=_short(image),
                allowed="https://…",
                advice=Message("requests.url-only-advice"),
            )


def _validate(tool: str, offer: Offer, given: Mapping[str, Any], catalog: Catalog) -> None:
    errors = sorted(_validator(tool, offer).iter_errors(given), key=_depth)
    if errors:
        raise _invalid(errors[0], offer, catalog)


def _depth(error: Any) -> tuple[int, str]:
    return (0 if schemas.REASON in error.schema else 1, error.json_path)


@cache
def _validator(tool: str, offer: Offer) -> Any:
    """Built once for each tool and offer: building takes fifty times as long as a validation."""
    from jsonschema import Draft202012Validator, ValidationError, validators

    def legal_size(_validator: Any, limits: Mapping[str, Any], value: Any, _schema: Any) -> Any:
        if isinstance(value, str) and _looks_like_size(value) and not offer.limits.allow(Size.parse(value)):
            yield ValidationError(f"{value} is outside {limits}")

    kind: Any = validators.extend(  # type: ignore[no-untyped-call]
        Draft202012Validator, {schemas.SIZE_RULE: legal_size}
    )
    return kind(schemas.checked(tool, offer))


def _invalid(error: Any, offer: Offer, catalog: Catalog) -> InvalidRequest:
    """A validation error as a sentence: what was given, what is allowed, what to try."""
    field = str(error.absolute_path[0]) if error.absolute_path else _field_of(error)
    reason = error.schema.get(schemas.REASON)
    if reason:
        return _conditional(Message(reason, **_limits(offer, catalog)), field, error)
    if field == "size" and offer.limits:
        presets = list(offer.model.presets)
        message = Message("requests.size-outside", got=error.instance, limits=str(offer.limits), presets=presets)
        return InvalidRequest(message, field=field, got=error.instance, allowed=[*presets, str(offer.limits)])
    rule = error.validator
    counted = rule in {"maxItems", "minItems", "maxLength"}
    got = len(error.instance) if counted else _short(error.instance)
    allowed = error.validator_value if rule in _RULES else error.message[:200]
    words: dict[str, Any] = {"name": field, "allowed": allowed}
    if rule == "type":
        words = {"name": error.json_path.removeprefix("$."), "expected": Message(f"requests.type-{allowed}")}
    return InvalidRequest(
        Message(_RULES.get(rule, "requests.invalid"), model=offer.model.name, got=got, **words),
        field=field,
        got=got,
        allowed=allowed,
        advice=_advice(field, rule, offer),
    )


def _limits(offer: Offer, catalog: Catalog) -> dict[str, Any]:
    return {"limit": offer.references.with_outputs, "model": offer.model.name, "free": catalog.freely_transparent}


def _conditional(message: Message, field: str, error: Any) -> InvalidRequest:
    """Two arguments that exclude each other: what is allowed beside the other one, or that this one must be removed."""
    if error.validator == "not":
        advice = Message("requests.leave-out", name=field)
        return InvalidRequest(message, field=field, got=_short(error.instance), allowed=[], advice=advice)
    return InvalidRequest(message, field=field, got=_short(error.instance), allowed=error.validator_value)


_RULES = {
    "enum": "requests.not-one-of",
    "type": "requests.wrong-type",
    "maximum": "requests.too-large",
    "minimum": "requests.too-small",
    "maxItems": "requests.too-many",
    "minItems": "requests.too-few",
    "maxLength": "requests.too-long",
    "minLength": "requests.empty",
    "required": "requests.missing",
}
"""Validator keyword → the sentence for it."""


def _advice(field: str, rule: str, offer: Offer) -> Message | None:
    if field == "images" and rule == "maxItems":
        return Message("requests.too-many-advice", allowed=offer.references.count)
    if field == "optimize_prompt":
        return Message("requests.optimize-advice")
    return None


def _field_of(error: Any) -> str:
    if error.validator == "required":
        return next((name for name in error.validator_value if name not in error.instance), "arguments")
    return "prompt" if error.schema.get(schemas.REASON) == "requests.words-missing" else "arguments"


def _short(value: Any) -> Any:
    """A value for an error message: long texts and data URIs are cut."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, str):
        return value if len(value) <= 80 else f"{value[:60]}… ({len(value)} characters)"
    text = json.dumps(value, ensure_ascii=False, default=str)
    return value if len(text) <= 200 else f"{text[:160]}…"
