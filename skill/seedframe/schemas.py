"""The two schemas of a tool, from one source: what is advertised to hosts and what is checked before paying.

In: the catalog and `arguments.json`. Out: JSON Schemas (2020-12) as plain dicts.
The advertised one is flat: a closed object, one `type` per property, no combinator at the root, limits in words, since
hosts refuse or silently drop anything else. The checked one belongs to one offer and says everything a schema can say.
Never in here: a model's name, an argument's value.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Any

from seedframe.catalog import Catalog, Model, Offer
from seedframe.geometry import ratio_text

SIZE_RULE = "legalSize"
"""Our own keyword: a WxH string must lie within these pixels, ratios and sides. Other validators ignore it."""

REASON = "reason"
"""Our own annotation: the message key that explains why a conditional rule failed."""

RESTATED = ("negative_prompt",)
"""What the styler says in other words where the service takes no such parameter; legal for every offer."""

_OUR_ARGUMENTS = ("model", "ratio", "size", "save_as", "preview", "frame", "anchor")
_FLAGS = ("dry_run", "as_is", "force", "fresh", "confirm_cost", "fit_references")


@cache
def arguments() -> Mapping[str, Any]:
    """`arguments.json`: the tools and their arguments with description templates."""
    return MappingProxyType(json.loads((files("seedframe") / "arguments.json").read_text(encoding="utf-8")))


def argument_kinds(tool: str) -> dict[str, str]:
    """The arguments a tool takes, in the order they are advertised, and the JSON type of each."""
    own = arguments()["tools"][tool].get("inputSchema")
    if own:
        return {name: entry["type"] for name, entry in own["properties"].items()}
    entries = arguments()["arguments"].items()
    taken = {name: entry["schema"]["type"] for name, entry in entries if tool in entry.get("tools", [tool])}
    return {**taken, "brief": "object"}


def argument_names(tool: str) -> tuple[str, ...]:
    """The arguments a tool takes, in the order they are advertised, `brief` last."""
    return tuple(argument_kinds(tool))


def advertised(tool: str, catalog: Catalog, brief: Mapping[str, Any]) -> dict[str, Any]:
    """`{name, title, description, inputSchema}` of a tool; `brief` is the schema of that argument."""
    entries = arguments()["arguments"]
    head = arguments()["tools"][tool]
    if "inputSchema" in head:
        return {"name": tool, **{key: head[key] for key in ("title", "description", "inputSchema")}}
    words = _words(catalog)
    properties = {
        name: {**entries[name]["schema"], "description": _describe(name, entries[name], catalog, words)}
        for name in argument_names(tool)
        if name != "brief"
    }
    schema = {"type": "object", "additionalProperties": False, "properties": {**properties, "brief": dict(brief)}}
    if head["required"]:
        schema["required"] = head["required"]
    return {
        "name": tool,
        "title": head["title"],
        "description": head["description"].format(**words),
        "inputSchema": schema,
    }


def hints(tool: str) -> Mapping[str, bool]:
    """What a host may assume of a tool: readOnly, destructive, idempotent, openWorld. All four are always said."""
    told: Mapping[str, bool] = arguments()["tools"][tool]["hints"]
    return told


def checked(tool: str, offer: Offer) -> dict[str, Any]:
    """The schema of one tool for one model on one backend, over arguments whose size is already made legal."""
    if "inputSchema" in arguments()["tools"][tool]:
        return dict(arguments()["tools"][tool]["inputSchema"])
    own = {
        name: dict(parameter.schema)
        for name, parameter in offer.parameters.items()
        if parameter.schema and (parameter.state == "supported" or name in RESTATED)
    }
    properties: dict[str, Any] = {
        **{name: own[name] for name in argument_names(tool) if name in own},
        **{name: {"type": "string", "minLength": 1} for name in _OUR_ARGUMENTS},
        **{name: {"type": "boolean"} for name in _FLAGS},
        "preview": {"enum": ["none", "small", "large"]},
        "size": {"type": "string", "anyOf": [{"enum": [*offer.model.presets]}, _legal_size(offer)]},
        "brief": {"type": "object"},
        "count": {"type": "integer", "minimum": 1, "maximum": offer.max_outputs},
    }
    if tool == "edit_image":
        properties["images"] = {
            **own["images"],
            "maxItems": min(offer.references.count, offer.references.with_outputs - 1),
        }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"{tool} for {offer.model.title} on {offer.backend.title}",
        "type": "object",
        "additionalProperties": False,
        "required": arguments()["tools"][tool]["required"],
        "properties": properties,
        "allOf": [
            *_prompt_rule(offer),
            *_sum_rules(offer),
            *_background_rules(tool, offer),
            *_layer_rules(tool, offer),
        ],
    }


def _legal_size(offer: Offer) -> dict[str, Any]:
    limits = offer.limits
    return {
        "pattern": r"^\d+x\d+$",
        SIZE_RULE: {
            "minPixels": limits.min_pixels,
            "maxPixels": limits.max_pixels,
            "minRatio": ratio_text(limits.min_ratio),
            "maxRatio": ratio_text(limits.max_ratio),
            "maxSide": limits.max_side,
        },
    }


def _given(name: str, value: Any) -> dict[str, Any]:
    return {"required": [name], "properties": {name: {"const": value}}}


def _prompt_rule(offer: Offer) -> list[dict[str, Any]]:
    """Words are needed, as text or as a brief; layers alone do without."""
    words = [{"required": ["prompt"]}, {"required": ["brief"]}]
    layers = [_given("layers", True)] if offer.supports("layers") else []
    return [{"anyOf": words + layers, REASON: "requests.words-missing"}]


def _sum_rules(offer: Offer) -> list[dict[str, Any]]:
    """References and pictures of one call share one limit: with k references a set has at most limit - k pictures."""
    limit = offer.references.with_outputs
    shared = offer.supports("related") or offer.max_outputs < limit
    crowded = range(max(1, limit - offer.max_outputs + 1), offer.references.count + 1)
    grouped = [_given("related", True)] if offer.supports("related") else []
    return [
        {
            "if": {"allOf": [{"required": ["images"], "properties": {"images": {"minItems": k}}}, *grouped]},
            "then": {"properties": {"count": {"maximum": limit - k, REASON: "requests.sum-of-images"}}},
        }
        for k in crowded
        if shared
    ]


def _background_rules(tool: str, offer: Offer) -> list[dict[str, Any]]:
    if not offer.supports("background"):
        return []
    transparent = _given("background", "transparent")
    png = {
        "required": ["output_format"],
        "properties": {"output_format": {"const": "png"}},
        REASON: "requests.transparent-png",
    }
    rules: list[dict[str, Any]] = [{"if": transparent, "then": png}]
    if offer.parameters["background"].extra["transparent_needs"] == "one-alpha-png":
        reason = {REASON: "requests.transparent-one-image"}
        one = {"images": {"maxItems": 1, **reason}}
        never = {"background": {"not": {}, **reason}}
        rules.append({"if": transparent, "then": {"properties": one if tool == "edit_image" else never}})
    return rules


def _layer_rules(tool: str, offer: Offer) -> list[dict[str, Any]]:
    if tool != "edit_image" or not offer.supports("layers"):
        return []
    then = {
        "properties": {
            "images": {"maxItems": 1, REASON: "requests.layers-one-image"},
            "count": {"const": 1, REASON: "requests.layers-one-count"},
            "background": {"not": {}, REASON: "requests.layers-no-background"},
            "size": {"enum": offer.parameters["layers"].extra["sizes"], REASON: "requests.layers-size"},
        }
    }
    return [{"if": _given("layers", True), "then": then}]


def _words(catalog: Catalog) -> dict[str, str]:
    models = catalog.models
    default = next(model for model in models if "5.0" in model.aliases)
    ratios = {(model.limits.min_ratio, model.limits.max_ratio) for model in models}
    low, high = min(ratios)[0], max(ratio[1] for ratio in ratios)
    return {
        "models": ", ".join(m.name + (f" (= {m.aliases[0]}, default)" if m is default else "") for m in models),
        "references": str(max(model.references.count for model in models)),
        "references_by_model": _grouped(models, lambda model: str(model.references.count)),
        "ratios": f"{ratio_text(low)} to {ratio_text(high)}",
        "presets": _grouped(models, lambda model: " ".join(model.presets)),
        "pixels": _grouped(models, lambda model: f"{model.limits.min_pixels}-{model.limits.max_pixels} px"),
        "outputs": str(max(model.parameters["count"].schema["maximum"] for model in models)),
        "fast": _takers(models, lambda model: "fast" in model.parameters["optimize_prompt"].schema.get("enum", [])),
        "layers": ", ".join(
            f"{m.name} ({m.parameters['layers'].extra['max_layers']})" for m in models if _supports(m, "layers")
        ),
        "formats": "; default png: " + _takers(models, lambda model: model.default_format == "png"),
        "background": "; transparent without an input picture: " + ", ".join(catalog.freely_transparent),
    }


def _describe(name: str, entry: Mapping[str, Any], catalog: Catalog, words: Mapping[str, str]) -> str:
    takers = _takers(catalog.models, lambda model: _supports(model, name))
    return str(entry["description"]).format(**words, supported=takers)


def _supports(model: Model, name: str) -> bool:
    return name in model.parameters and model.parameters[name].state == "supported"


def _takers(models: Iterable[Model], test: Any) -> str:
    return ", ".join(model.name for model in models if test(model))


def _grouped(models: Sequence[Model], fact: Any) -> str:
    """`5.5, 5.0-pro: 10; 4.5: 14`: models that share a fact stand together, newest first."""
    groups: dict[str, list[str]] = {}
    for model in models:
        groups.setdefault(fact(model), []).append(model.name)
    return "; ".join(f"{said}: {', '.join(names)}" for said, names in groups.items())
