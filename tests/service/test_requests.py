"""Room 1: example requests of every model as files, what hosts send as text, the three states of a parameter."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from seedframe.catalog import Offer, catalog
from seedframe.errors import InvalidRequest
from seedframe.geometry import ratio_text
from seedframe.service import schemas
from seedframe.service.request import TOOLS, ImageRequest, check
from seedframe.settings import Settings

EXAMPLES = Path(__file__).parents[1] / "requests"


def example(path: Path) -> Any:
    return pytest.param(path, id="-".join(path.relative_to(EXAMPLES).with_suffix("").parts))


def examples(kind: str) -> list[Any]:
    return [example(path) for path in sorted(EXAMPLES.glob(f"*/{kind}/*.json"))]


def checked(arguments: dict[str, Any], *, tool: str = "generate_image", **variables: str) -> ImageRequest:
    settings = Settings.read({"SEEDFRAME_BACKEND": "emulator", **variables})
    return check(tool, arguments, catalog=catalog(), settings=settings)


def asked_by(path: Path) -> tuple[ImageRequest | InvalidRequest, dict[str, Any]]:
    written = json.loads(path.read_text(encoding="utf-8"))
    arguments = {"model": path.parents[1].name, **written["arguments"]}
    backend = written.get("backend", "emulator")
    try:
        return checked(arguments, tool=written["tool"], SEEDFRAME_BACKEND=backend), written["expect"]
    except InvalidRequest as error:
        return error, written["expect"]


def offers() -> list[Any]:
    return [
        pytest.param(catalog().offer(model.name, backend), id=f"{model.name}-{backend.name}")
        for model in catalog().models
        for backend in catalog().backends
        if model.ids_on(backend)
    ]


def described(request: ImageRequest, name: str) -> Any:
    """One of the things an example may expect, as it is written in JSON."""
    frame = request.frame
    facts = {
        "asked": frame.asked,
        "ratio": ratio_text(frame.ratio) if frame.ratio else None,
        "frame": str(frame.frame) if frame.frame else None,
        "scaled_from": str(frame.scaled_from) if frame.scaled_from else None,
        "id": request.offer.id,
    }
    return facts[name]


@pytest.mark.parametrize("path", examples("valid"))
def test_a_valid_example_becomes_the_request_it_means(path: Path) -> None:
    request, expect = asked_by(path)

    assert isinstance(request, ImageRequest), str(request)
    named = {name: value for name, value in expect.items() if name not in {"warnings", "request"}}
    assert {name: described(request, name) for name in named} == named
    assert [warning.key for warning in request.warnings] == expect.get("warnings", [])
    fields = expect.get("request", {})
    assert {name: value_of(request, name) for name in fields} == fields


def value_of(request: ImageRequest, name: str) -> Any:
    """A field of the request, or one of the service's parameters in it, as it is written in JSON."""
    value = request.options.get(name) if name in request.offer.parameters else getattr(request, name)
    if name in {"images", "count", "related", "layers"}:
        value = getattr(request, name)
    return list(value) if isinstance(value, tuple) else value


@pytest.mark.parametrize("path", examples("valid"))
def test_what_is_asked_of_the_service_is_always_legal(path: Path) -> None:
    request, _ = asked_by(path)

    assert isinstance(request, ImageRequest)
    expected = request.frame.expected
    assert expected is None or request.offer.limits.allow(expected)
    if expected and request.frame.ratio:
        assert abs(float(expected.ratio / request.frame.ratio) - 1) < 0.01


@pytest.mark.parametrize("path", examples("invalid"))
def test_an_invalid_example_is_refused_with_its_field_and_a_way_out(path: Path) -> None:
    error, expect = asked_by(path)

    assert isinstance(error, InvalidRequest), f"accepted: {error}"
    assert error.field == expect["field"]
    sentence = f"{error} {json.dumps(error.allowed, default=str)}"
    assert [word for word in expect["says"] if word not in sentence] == []
    assert str(error).startswith("Seedream generation failed: ")
    assert error.text("zh").startswith("Seedream")
    assert error.allowed or error.advice, "says neither what is allowed nor what to try"
    json.dumps(error.facts)


@pytest.mark.parametrize("model", [model.name for model in catalog().models])
def test_every_model_has_examples_of_both_kinds(model: str) -> None:
    assert len(list(EXAMPLES.glob(f"{model}/valid/*.json"))) >= 2
    assert len(list(EXAMPLES.glob(f"{model}/invalid/*.json"))) >= 2


@pytest.mark.parametrize(
    ("name", "given", "meant"),
    [
        pytest.param("count", "3", 3, id="whole number as text"),
        pytest.param("count", 3.0, 3, id="whole number as float"),
        pytest.param("count", "3.0", 3, id="whole number as float as text"),
        pytest.param("seed", "-1", None, id="no seed"),
        pytest.param("seed", 0, 0, id="seed zero"),
        pytest.param("guidance_scale", "2.5", 2.5, id="number as text"),
        pytest.param("guidance_scale", 3, 3, id="whole number for a number"),
        pytest.param("watermark", "True", True, id="boolean as text"),
        pytest.param("watermark", "false", False, id="false as text"),
        pytest.param("ratio", "9:16", None, id="text stays text"),
        pytest.param("negative_prompt", 3, "3", id="number for text"),
        pytest.param("prompt", "12", "12", id="digits stay text"),
        pytest.param("seed", None, None, id="null is absent"),
    ],
)
def test_what_hosts_send_as_text_becomes_what_it_plainly_means(name: str, given: Any, meant: Any) -> None:
    request = checked({"prompt": "lantern lit alley", "model": "4.5", name: given})

    assert name == "ratio" or value_of(request, name) == meant


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        pytest.param('["a.png", "b.png"]', ("a.png", "b.png"), id="list as text"),
        pytest.param("a.png", ("a.png",), id="one path"),
        pytest.param("[draft] a.png", ("[draft] a.png",), id="a name that only looks like a list"),
        pytest.param(["a.png"], ("a.png",), id="list"),
    ],
)
def test_pictures_come_as_a_list_or_as_one_text(given: Any, meant: tuple[str, ...]) -> None:
    request = checked({"prompt": "换成红色", "images": given}, tool="edit_image")

    assert request.images == meant


@pytest.mark.parametrize(
    ("name", "given"),
    [
        pytest.param("count", "many", id="words"),
        pytest.param("count", 2.5, id="a fraction"),
        pytest.param("count", True, id="a boolean for a number"),
        pytest.param("count", [2], id="a list for a number"),
        pytest.param("watermark", "maybe", id="words for a boolean"),
        pytest.param("watermark", 1, id="a number for a boolean"),
        pytest.param("prompt", ["a", "b"], id="a list for text"),
        pytest.param("prompt", {"text": "a"}, id="an object for text"),
        pytest.param("brief", "a red kite", id="words for a brief"),
        pytest.param("guidance_scale", "NaN", id="not a number"),
        pytest.param("guidance_scale", "1e999", id="infinity"),
        pytest.param("seed", float("inf"), id="an endless seed"),
        pytest.param("ratio", "wide", id="a ratio in words"),
        pytest.param("ratio", "0:1", id="a ratio of zero"),
        pytest.param("size", "0x0", id="no pixels"),
        pytest.param("size", "-5x5", id="negative pixels"),
        pytest.param("size", "99999999999999999999x1", id="absurd pixels"),
        pytest.param("frame", "wide", id="a frame in words"),
        pytest.param("anchor", "middle-ish", id="an unknown anchor"),
        pytest.param("preview", "huge", id="an unknown preview"),
        pytest.param("model", "4.6", id="an unknown model"),
        pytest.param("model", "ep-20260101000000-abcde", id="an endpoint nobody bound"),
    ],
)
def test_what_is_not_plain_is_refused_by_name(name: str, given: Any) -> None:
    with pytest.raises(InvalidRequest) as caught:
        checked({"prompt": "lantern lit alley", "model": "4.5", name: given})

    assert caught.value.field == name
    json.dumps(caught.value.facts, allow_nan=False)


def test_a_string_for_pictures_is_refused_when_it_is_not_a_text_list() -> None:
    with pytest.raises(InvalidRequest) as caught:
        checked({"prompt": "换成红色", "images": [1, 2]}, tool="edit_image")

    assert caught.value.field == "images"


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        pytest.param("aspect_ratio", "ratio", id="synonym"),
        pytest.param("n", "count", id="the wire's n"),
        pytest.param("promt", "prompt", id="a slip of the finger"),
        pytest.param("negative", "negative_prompt", id="half a name"),
        pytest.param("filename", "save_as", id="another word"),
        pytest.param("guidance", "guidance_scale", id="the first half"),
    ],
)
def test_a_mistyped_argument_is_answered_with_the_right_name(typed: str, meant: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        checked({"prompt": "雨", typed: "1"})

    assert caught.value.field == typed
    assert str(caught.value).endswith(f"Did you mean {meant}?")


def test_pictures_belong_to_edit_image_only() -> None:
    with pytest.raises(InvalidRequest) as caught:
        checked({"prompt": "雨", "images": ["a.png"]})

    assert caught.value.field == "images"


def state_met(arguments: dict[str, Any], name: str, value: Any, backend: str) -> str:
    """What became of one argument: supported, ignored or refused, or the surprise in words."""
    try:
        request = checked({**arguments, name: value}, SEEDFRAME_BACKEND=backend)
    except InvalidRequest as error:
        return "refused" if error.field == name else f"{error.field} was refused"
    if "requests.ignored" in [warning.key for warning in request.warnings]:
        return "ignored"
    met = value_of(request, name)
    return "supported" if met == value else f"{met!r} instead of {value!r}"


@pytest.mark.parametrize("offer", offers())
def test_each_parameter_is_sent_dropped_with_a_warning_or_refused_as_the_data_says(offer: Offer) -> None:
    given: dict[str, Any] = {
        "guidance_scale": 2.5,
        "output_format": "png",
        "web_search": True,
        "related": True,
        "seed": 7,
        "watermark": True,
        "optimize_prompt": "standard",
        "background": "opaque",
    }
    met = {}
    for name, value in given.items():
        met[name] = state_met({"prompt": "雨", "model": offer.model.name, "count": 2}, name, value, offer.backend.name)

    assert met == {name: offer.parameters[name].state for name in given}


@pytest.mark.parametrize("offer", offers())
@pytest.mark.parametrize("tool", TOOLS)
def test_the_checked_schema_is_a_valid_2020_12_schema(tool: str, offer: Offer) -> None:
    schema = schemas.checked(tool, offer)

    Draft202012Validator.check_schema(schema)
    assert schema["$schema"] == Draft202012Validator.META_SCHEMA["$id"]
    assert schema["additionalProperties"] is False
    json.dumps(schema)


def test_a_house_ratio_applies_where_nothing_else_is_said() -> None:
    house = {"SEEDFRAME_RATIO": "9:16"}

    assert checked({"prompt": "雨"}, **house).frame.asked == "1440x2560"
    assert checked({"prompt": "雨", "ratio": "1:1"}, **house).frame.asked == "1920x1920"
    assert checked({"prompt": "雨", "size": "2K"}, **house).frame.asked == "2K"


def test_a_bound_endpoint_is_sent_as_it_is_and_keeps_its_models_limits() -> None:
    request = checked(
        {"prompt": "alley", "model": "ep-20260101000000-abcde", "size": "720x1280"},
        SEEDFRAME_ENDPOINTS="ep-20260101000000-abcde=4.5",
    )

    assert (request.offer.id, request.offer.model.name, request.frame.asked) == (
        "ep-20260101000000-abcde",
        "4.5",
        "1440x2560",
    )


@pytest.mark.parametrize("name", ["5.0", "seedream-5.0", "doubao-seedream-5-0-260128", " 5.0-LITE "])
def test_seedream_five_is_lite_by_every_name(name: str) -> None:
    assert checked({"prompt": "雨", "model": name}).offer.model.name == "5.0-lite"
