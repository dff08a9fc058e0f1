"""The two schemas of a tool, from one source: what is advertised to hosts and what is checked before paying.

In: the catalog and `tools.json`. Out: JSON Schemas (2020-12) as plain dicts.
The advertised one is flat, since hosts refuse or silently drop anything else: a closed object, no combinator at the
root, one type for each property, limits in words. The checked one belongs to one offer and has every rule a schema can
express.
Never in here: a model's name, an argument's value.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from seedframe.catalog import Backend, Catalog, Model, Offer, tool_rows
from seedframe.errors import InvalidRequest
from seedframe.geometry import ratio_text
from seedframe.settings import Settings

SIZE_RULE = "legalSize"
"""Our own keyword: a WxH string must lie within these pixels, ratios and sides. Other validators ignore it."""

REASON = "reason"
"""Our own annotation: the message key that explains why a conditional rule failed."""

RESTATED = ("negative_prompt",)
"""Arguments the styler words into the prompt where the service has no such parameter; legal for every offer."""

_OUR_ARGUMENTS = ("model", "ratio", "size", "save_as", "preview", "frame", "anchor")
_FLAGS = ("dry_run", "as_is", "force", "fresh", "confirm_cost", "fit_references")


def argument_kinds(tool: str) -> dict[str, str]:
    """The arguments a tool takes, in the order they are advertised, and the JSON type of each."""
    own = tool_rows()["tools"][tool].get("inputSchema")
    if own:
        kinds = {name: entry["type"] for name, entry in own["properties"].items()}
        # A brief that is advertised as JSON text, to keep the tool small, is taken as an object too.
        return {**kinds, "brief": "object"} if "brief" in kinds else kinds
    entries = tool_rows()["arguments"].items()
    taken = {name: entry["schema"]["type"] for name, entry in entries if tool in entry.get("tools", [tool])}
    return {**taken, "brief": "object"}


def argument_names(tool: str) -> tuple[str, ...]:
    """The arguments a tool takes, in the order they are advertised, `brief` last."""
    return tuple(argument_kinds(tool))


def advertised(
    tool: str, catalog: Catalog, brief: Mapping[str, Any], settings: Settings | None = None
) -> dict[str, Any]:
    """`{name, title, description, inputSchema}` of a tool; `brief` is the schema of that argument.

    The default model, the ratio and the prices are those of the settings in force. `edit_image` describes only
    its own arguments: both picture tools are always read together.
    """
    head = tool_rows()["tools"][tool]
    words = _words(catalog, settings or Settings())
    named = {"name": tool, "title": head["title"], "description": head["description"].format(**words)}
    if "inputSchema" in head:
        return {**named, "inputSchema": _filled(head["inputSchema"], words)}
    texts = descriptions(tool, catalog, settings)
    entries = tool_rows()["arguments"]
    properties = {
        name: {**entries[name]["schema"], **({"description": text} if _is_own(tool, name) else {})}
        for name, text in texts.items()
    }
    schema = {"type": "object", "additionalProperties": False, "properties": {**properties, "brief": dict(brief)}}
    if head["required"]:
        schema["required"] = head["required"]
    return {**named, "inputSchema": schema}


def descriptions(tool: str, catalog: Catalog, settings: Settings | None = None) -> dict[str, str]:
    """Every argument of a picture tool but `brief`, in words, in the order they are advertised."""
    entries = tool_rows()["arguments"]
    words = _words(catalog, settings or Settings())
    names = [name for name in argument_names(tool) if name != "brief"]
    return {name: _describe(tool, name, entries[name], catalog, words) for name in names}


def _is_own(tool: str, name: str) -> bool:
    entry = tool_rows()["arguments"][name]
    return tool != "edit_image" or "tools" in entry or "edit" in entry


def _filled(schema: Mapping[str, Any], words: Mapping[str, str]) -> dict[str, Any]:
    """A schema written out in the data, with the facts in its descriptions."""
    properties = {
        name: {key: text.format(**words) if key == "description" else text for key, text in entry.items()}
        for name, entry in schema["properties"].items()
    }
    return {**schema, "properties": properties}


def hints(tool: str) -> Mapping[str, bool]:
    """What a host may assume of a tool: readOnly, destructive, idempotent, openWorld. All four are always given."""
    assumed: Mapping[str, bool] = tool_rows()["tools"][tool]["hints"]
    return assumed


def checked(tool: str, offer: Offer) -> dict[str, Any]:
    """The schema of one tool for one model on one backend, over arguments whose size is already made legal."""
    if "inputSchema" in tool_rows()["tools"][tool]:
        return dict(tool_rows()["tools"][tool]["inputSchema"])
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
        "required": tool_rows()["tools"][tool]["required"],
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
    """A prompt or a brief is required, except for layers."""
    words = [{"required": ["prompt"]}, {"required": ["brief"]}]
    layers = [_given("layers", True)] if offer.supports("layers") else []
    return [{"anyOf": words + layers, REASON: "requests.words-missing"}]


def _sum_rules(offer: Offer) -> list[dict[str, Any]]:
    """References and pictures of one call share one limit: with k references a set has at most limit - k pictures."""
    limit = offer.references.with_outputs
    crowded = range(max(1, limit - offer.max_outputs + 1), offer.references.count + 1)
    if not crowded or not (offer.supports("related") or offer.max_outputs < limit):
        return []
    grouped = [_given("related", True)] if offer.supports("related") else []
    sums = [
        {
            "if": {"properties": {"images": {"minItems": k}}},
            "then": {"properties": {"count": {"maximum": limit - k, REASON: "requests.sum-of-images"}}},
        }
        for k in crowded
    ]
    # Asked once, since most calls have no references or no set: every rule that is looked at takes its time.
    return [{"if": {"allOf": [{"required": ["images"]}, *grouped]}, "then": {"allOf": sums}}]


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


def _words(catalog: Catalog, settings: Settings) -> dict[str, str]:
    models = catalog.models
    ratios = {(model.limits.min_ratio, model.limits.max_ratio) for model in models}
    low, high = min(ratios)[0], max(ratio[1] for ratio in ratios)
    default = _default_model(catalog, settings)
    return {
        "models": _models_and_prices(catalog, settings, default),
        "default": default,
        "preview": "always none here" if settings.preview == "none" else settings.preview,
        "ratio_default": f"; default {settings.ratio}" if settings.ratio else "",
        "references": str(max(model.references.count for model in models)),
        "references_by_model": _grouped(models, lambda model: str(model.references.count)),
        "ratios": f"{ratio_text(low)} to {ratio_text(high)}",
        "sizes": _grouped(models, _sizes),
        "outputs": str(max(model.parameters["count"].schema["maximum"] for model in models)),
        "fast": _takers(models, lambda model: "fast" in model.parameters["optimize_prompt"].schema.get("enum", [])),
        "layers": ", ".join(
            f"{m.name} ({m.parameters['layers'].extra['max_layers']})" for m in models if _supports(m, "layers")
        ),
        "formats": "; default png: " + _takers(models, lambda model: model.default_format == "png"),
        "background": "; transparent from words: " + ", ".join(catalog.freely_transparent),
    }


def _sizes(model: Model) -> str:
    """`2K 4K, 3.7-16.8 MP`."""
    least, most = (round(pixels / 1e6, 1) for pixels in (model.limits.min_pixels, model.limits.max_pixels))
    return f"{' '.join(model.presets)}, {least}-{most} MP"


def _default_model(catalog: Catalog, settings: Settings) -> str:
    """The short name of the default model; an unknown setting is shown as it is."""
    try:
        return catalog.model(settings.endpoints.get(settings.model, settings.model)).name
    except InvalidRequest:
        return settings.model


def _models_and_prices(catalog: Catalog, settings: Settings, default: str) -> str:
    """`5.5, 5.0-pro 0.3-0.6, 5.0-lite (= 5.0, default) 0.22 CNY each`: the models with the price of a picture."""
    backend = next((each for each in catalog.backends if each.name == settings.backend), None)
    prices = [_model_and_price(model, backend, settings, default) for model in catalog.models]
    return ", ".join(prices) + (f" {backend.currency} each" if backend else "")


def _model_and_price(model: Model, backend: Backend | None, settings: Settings, default: str) -> str:
    marks = [f"= {model.aliases[0]}"] if model.aliases and model.aliases[0][0].isdigit() else []
    marks += ["default"] if model.name == default else []
    listed = (model.prices_on(backend) if backend else None) or {}
    prices = [Decimal(tier["each"]) for tier in listed.get("tiers", [listed]) if "each" in tier]
    if model.name in settings.prices:
        prices = [settings.prices[model.name]]
    said = "-".join(dict.fromkeys(format(price.normalize(), "f") for price in (sorted(prices))))
    return " ".join(part for part in (model.name, f"({', '.join(marks)})" if marks else "", said) if part)


def _describe(tool: str, name: str, entry: Mapping[str, Any], catalog: Catalog, words: Mapping[str, str]) -> str:
    takers = _takers(catalog.models, lambda model: _supports(model, name))
    template = entry.get("edit") if tool == "edit_image" else None
    return str(template or entry["description"]).format(**words, supported=takers)


def _supports(model: Model, name: str) -> bool:
    return name in model.parameters and model.parameters[name].state == "supported"


def _takers(models: Iterable[Model], test: Any) -> str:
    return ", ".join(model.name for model in models if test(model))


def _grouped(models: Sequence[Model], fact: Any) -> str:
    """`5.5, 5.0-pro: 10; 4.5: 14`: models with the same value together, newest first."""
    groups: dict[str, list[str]] = {}
    for model in models:
        groups.setdefault(fact(model), []).append(model.name)
    return "; ".join(f"{said}: {', '.join(names)}" for said, names in groups.items())
