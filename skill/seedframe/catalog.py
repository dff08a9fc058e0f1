"""What models accept, what backends sell and what it costs: the data files, read once and frozen.

In: `data/models/*.json`, `data/backends/*.json`, `data/tools.json`, `data/api_errors.json`.
Out: `Model`, `Backend` and the two together, an `Offer`; NotConfigured for a data file that contradicts the others.
Never in here: a model's name, a network, a decision about one request. A new model is a new file, not a new line.
These values compare and hash by identity: each exists once, so that what is computed from one can be cached.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from types import MappingProxyType
from typing import Any, Literal, TypeVar, get_args

from seedframe.errors import InvalidRequest, NotConfigured
from seedframe.geometry import Limits, Size
from seedframe.messages import Message
from seedframe.package_data import data_json, read_json
from seedframe.settings import Settings

State = Literal["supported", "ignored", "refused"]
STATES: tuple[State, ...] = get_args(State)
T = TypeVar("T")
UNASKED = ("response_format", "stream")
"""Parameters of the service that no tool has an argument for."""

ENDPOINT_ID = re.compile(r"ep-[\w-]+")
_DATED = re.compile(r"(?:doubao-|dola-)?(?P<family>.+)-\d{6}")
"""The vendor's ids: a prefix by region, the family, the day of the version."""


@dataclass(frozen=True, slots=True, eq=False)
class Parameter:
    """One parameter of a model, by Seedframe's name.

    `state` is what Seedframe does with it: supported (sent), ignored (accepted, dropped with a warning), refused.
    `service` is what the vendor does when it arrives: honoured, ignored, rejected, unproven.
    `wire` is its name in the request's body, or the part of the body it becomes, in which `"$value"` stands for the
    value and `"$outputs"` for the number of pictures; None when it has no part of its own. `always`: sent even when
    it is false.
    `extra` holds what only this parameter has (for example `max_layers`).
    """

    name: str
    wire: str | Mapping[str, Any] | None
    state: State
    service: str
    schema: Mapping[str, Any]
    extra: Mapping[str, Any]
    always: bool = False

    @property
    def wire_names(self) -> tuple[str, ...]:
        """The keys of the body that belong to it."""
        return (self.wire,) if isinstance(self.wire, str) else tuple(self.wire or ())

    def body(self, value: Any, outputs: int) -> dict[str, Any]:
        """The part of a request's body for this value; empty where it need not be sent."""
        if self.wire is None or value is None or (value is False and not self.always):
            return {}
        if isinstance(self.wire, str):
            return {self.wire: value}
        return {key: _filled(part, value, outputs) for key, part in self.wire.items()}


@dataclass(frozen=True, slots=True)
class ReferenceLimits:
    """What the service takes as input pictures: each one's limits, and those of all together.

    The defaults are Ark's documentation of May 2026. `with_outputs` is the limit on input pictures and pictures of one
    call together; above `warn_bytes` older deployments refuse; `by` is how pictures are handed over. `converted`:
    formats the vendor documents, which are converted nevertheless, since older deployments do not read them.
    """

    max_bytes: int = 30_000_000
    min_side: int = 15
    min_pixels: int = 196
    max_pixels: int = 36_000_000
    min_ratio: Fraction = Fraction(1, 16)
    max_ratio: Fraction = Fraction(16)
    formats: tuple[str, ...] = ("jpeg", "png", "webp", "bmp", "tiff", "gif")
    count: int = 14
    with_outputs: int = 15
    warn_bytes: int = 10_000_000
    by: Literal["inline", "url"] = "inline"
    converted: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Model:
    """One file of `models/`.

    `ids` and `prices` by the name of a backend. `edit_marks`: the largest coordinate of `<point>` and `<bbox>`, None
    where the model knows none.
    """

    name: str
    title: str
    aliases: tuple[str, ...]
    released: str
    ids: Mapping[str, tuple[str, ...]]
    prices: Mapping[str, Mapping[str, Any]]
    prompt_style: str
    response_format: str
    default_format: str
    formats: tuple[str, ...]
    default_size: str
    target_pixels: int
    presets: Mapping[str, Mapping[str, Size]]
    limits: Limits
    references: ReferenceLimits
    parameters: Mapping[str, Parameter]
    trust_days: int | None
    edit_marks: int | None
    notes: str

    def ids_on(self, backend: Backend) -> tuple[str, ...]:
        """Its ids on that backend, the one to send first; none where the backend does not sell it."""
        return tuple(dict.fromkeys(id for column in backend.ids for id in self.ids.get(column, ())))

    def prices_on(self, backend: Backend) -> Mapping[str, Any] | None:
        """Its row in the price list that holds for that backend; None where no price is published."""
        return self.prices.get(backend.price_list)


@dataclass(frozen=True, slots=True)
class Price:
    """Money for one call in the backend's currency. `amount` is None where no price is published."""

    amount: Decimal | None
    currency: str

    def __str__(self) -> str:
        return f"{'?' if self.amount is None else format(self.amount.normalize(), 'f')} {self.currency}"

    @property
    def known(self) -> bool:
        """Whether the price list covers this call."""
        return self.amount is not None


@dataclass(frozen=True, slots=True, eq=False)
class Backend:
    """One file of `backends/`: which address is called, in which dialect.

    `ids` and `price_list` name the columns of a model's ids and prices that hold here. `free_probe`: the service
    refuses a 1x1 picture without billing it, so that a key can be tried. `key_prefix`: how its keys begin, if they do.
    """

    name: str
    title: str
    dialect: str
    base_url: str | None
    prefix: str
    paths: Mapping[str, str]
    ids: tuple[str, ...]
    key_settings: tuple[str, ...]
    base_settings: tuple[str, ...]
    console: str | None
    images_per_minute: int
    limits: Mapping[str, Any]
    parameters: Mapping[str, State]
    response_format: str | None
    currency: str
    price_list: str
    price_date: str
    vendor: bool
    charges: bool
    free_probe: bool
    key_prefix: str | None

    def key(self, settings: Settings) -> str | None:
        """The configured key; None where it needs none. NotConfigured when it is missing or malformed."""
        if not self.key_settings:
            return None
        name, key = self.key_settings[0], settings.first(self.key_settings)
        if key is None:
            raise NotConfigured(
                Message("client.no-key", name=name, backend=self.title),
                advice=Message("client.no-key-advice", name=name, console=self.console or ""),
                facts={"setting": name},
            )
        if not key.isascii() or any(letter.isspace() for letter in key):
            raise NotConfigured(Message("client.odd-key", name=name))
        return key


@dataclass(frozen=True, slots=True, eq=False)
class Offer:
    """A model as one backend sells it: the id to send and the limits of both together.

    `assumed`: the id is newer than the tables, and only its family is known.
    """

    model: Model
    backend: Backend
    id: str
    limits: Limits
    references: ReferenceLimits
    max_outputs: int
    parameters: Mapping[str, Parameter]
    response_format: str
    assumed: bool = False

    @property
    def canonical_id(self) -> str:
        """The id that stands for all ids the backend knows this model by."""
        sold = self.model.ids_on(self.backend)
        return sold[0] if self.id in sold else self.id

    def supports(self, name: str) -> bool:
        """Whether the parameter is sent when it is given. Parameters without data are not sent."""
        return name in self.parameters and self.parameters[name].state == "supported"

    def price(self, *, pixels: int, outputs: int, references: int, layers: bool = False) -> Price:
        """What `outputs` pictures of `pixels` pixels with that many input pictures cost by the dated price list.

        In layer mode each returned layer is billed; `outputs` is then the number of layers, base included.
        """
        listed = self.model.prices_on(self.backend)
        if listed is None:
            return Price(None, self.backend.currency)
        tier = next(t for t in listed.get("tiers", [listed]) if pixels <= t.get("up_to_pixels", pixels))
        each = Decimal(tier["layer"] if layers and "layer" in tier else tier["each"])
        fee = listed.get("input", {"each": "0", "free": 0})
        paid_inputs = max(0, references - fee["free"])
        return Price(each * outputs + Decimal(fee["each"]) * paid_inputs, self.backend.currency)


@dataclass(frozen=True, slots=True)
class ApiErrorRow:
    """One row of the error table: a refusal of the service and what it means for money and for the caller."""

    name: str
    status: int
    code: str
    type: str
    param: str
    message: str
    error_class: str
    retry: Literal["never", "later", "inline", "without-parameter", "unknown"]
    billed: Literal["no", "unknown"]
    source: str
    match: str | None
    wait_seconds: float | None

    @property
    def advice(self) -> Message:
        """What to try, in the reader's language."""
        return Message(f"advice.{self.name}")


@dataclass(frozen=True, slots=True)
class Catalog:
    """Everything the data files say. Models come newest first."""

    models: tuple[Model, ...]
    backends: tuple[Backend, ...]

    @property
    def freely_transparent(self) -> list[str]:
        """The models that can make a transparent background without an input picture."""
        return [m.name for m in self.models if m.parameters["background"].extra.get("transparent_needs") == "nothing"]

    def same_budget(self, backend: Backend) -> tuple[str, ...]:
        """The backends whose bills add up: those that charge, or those that only simulate list prices."""
        return tuple(other.name for other in self.backends if other.charges == backend.charges)

    @property
    def preview(self) -> Backend:
        """The backend under which calls answered by an emulator are recorded."""
        return next(backend for backend in self.backends if not backend.charges)

    def backend(self, name: str) -> Backend:
        """The backend of that name; InvalidRequest with the list otherwise."""
        for backend in self.backends:
            if backend.name == name:
                return backend
        names = [backend.name for backend in self.backends]
        raise InvalidRequest(
            Message("catalog.unknown-backend", got=name, allowed=names), field="backend", got=name, allowed=names
        )

    def model(self, name: str) -> Model:
        """The model of that short name, alias or service id, also of another day; InvalidRequest otherwise."""
        wanted = name.strip().lower()
        for model in self.models:
            if wanted in _names(model):
                return model
        if (family := self.family(wanted)) is not None:
            return family
        names = [model.name for model in self.models]
        raise InvalidRequest(
            Message("catalog.unknown-model", got=name, allowed=names),
            field="model",
            got=name,
            allowed=names,
            advice=Message("catalog.unknown-model-advice"),
        )

    def family(self, id: str) -> Model | None:
        """The model of which a dated id is another version."""
        dated = _DATED.fullmatch(id.strip().lower())
        return next((model for model in self.models if dated and dated["family"] in _families(model)), None)

    def offer(self, name: str, backend: Backend, endpoints: Mapping[str, str] | None = None) -> Offer:
        """The model of that name on that backend. `endpoints` binds ids, `ep-…` or any other, to model names."""
        endpoint = name.strip()
        bound = (endpoints or {}).get(endpoint)
        if bound is not None:
            return meet(self.model(bound), backend, id=endpoint)
        if ENDPOINT_ID.fullmatch(endpoint):
            raise InvalidRequest(
                Message("catalog.unbound-endpoint", got=endpoint),
                field="model",
                got=endpoint,
                allowed=sorted(endpoints or {}),
                advice=Message("catalog.unbound-endpoint-advice", got=endpoint),
            )
        model = self.model(name)
        if endpoint.lower() not in _names(model):
            return meet(model, backend, id=endpoint, assumed=True)
        sold = model.ids_on(backend)
        if not sold:
            allowed = [m.name for m in self.models if m.ids_on(backend)]
            elsewhere = [b.name for b in self.backends if model.ids_on(b)]
            raise InvalidRequest(
                Message("catalog.not-sold", model=model.name, backend=backend.title),
                field="model",
                got=name,
                allowed=allowed,
                advice=Message("catalog.not-sold-advice", allowed=allowed, elsewhere=elsewhere),
            )
        return meet(model, backend, id=endpoint if endpoint in sold else sold[0])


@cache
def meet(model: Model, backend: Backend, *, id: str, assumed: bool = False) -> Offer:
    """Both files together: the tighter limit wins, the backend's statement on a parameter wins."""
    limits = backend.limits
    references = model.references
    merged_references = replace(
        references,
        count=min(references.count, limits.get("references", references.count)),
        with_outputs=min(references.with_outputs, limits.get("with_outputs", references.with_outputs)),
        by=limits.get("references_by", "inline"),
    )
    own = model.limits
    merged_limits = Limits(
        own.min_pixels, own.max_pixels, own.min_ratio, own.max_ratio, limits.get("max_side", own.max_side)
    )
    return Offer(
        model=model,
        backend=backend,
        id=id,
        limits=merged_limits,
        references=merged_references,
        max_outputs=limits.get("outputs", model.parameters["count"].schema["maximum"]),
        parameters={name: _overruled(p, backend.parameters.get(name)) for name, p in model.parameters.items()},
        response_format=backend.response_format or model.response_format,
        assumed=assumed,
    )


@cache
def catalog() -> Catalog:
    """The packaged data, read on first use. NotConfigured: a file names a backend, model or option there is not."""
    models = sorted(_read("models", _model), key=lambda model: model.released, reverse=True)
    known = Catalog(models=tuple(models), backends=tuple(_read("backends", _backend)))
    _check_names(known)
    _check_states(known)
    return known


@cache
def tool_rows() -> Mapping[str, Any]:
    """`tools.json`: the tools, and one row for each of their arguments."""
    return MappingProxyType(data_json("tools.json"))


_ROW = ("name", "status", "code", "type", "param", "message", "retry", "billed", "source")


@cache
def api_errors() -> tuple[ApiErrorRow, ...]:
    """The error table, in matching order: the first row whose code, status and pattern fit is meant."""
    return tuple(
        ApiErrorRow(
            **{key: row[key] for key in _ROW},
            error_class=row["class"],
            match=row.get("match"),
            wait_seconds=row.get("wait_seconds"),
        )
        for row in data_json("api_errors.json")["rows"]
    )


@cache
def free_when_empty() -> frozenset[int]:
    """The statuses whose answer without a body is recorded as one that nothing was billed for."""
    rows = data_json("api_errors.json")["wordless"]
    return frozenset(row["status"] for row in rows if row["billed"] == "no")


@cache
def code_aliases() -> Mapping[str, str]:
    """Codes that gateways and older documents use, and the service's own code for each."""
    return MappingProxyType(data_json("api_errors.json")["aliases"])


def _names(model: Model) -> set[str]:
    ids = (id for column in model.ids.values() for id in column)
    return {model.name.lower(), *(alias.lower() for alias in model.aliases), *(id.lower() for id in ids)}


def _families(model: Model) -> set[str]:
    dated = (_DATED.fullmatch(id.lower()) for column in model.ids.values() for id in column)
    return {found["family"] for found in dated if found} | {alias.lower() for alias in model.aliases}


def _overruled(parameter: Parameter, state: State | None) -> Parameter:
    if state is None or parameter.state == "refused":
        return parameter
    return replace(parameter, state=state)


def _filled(part: Any, value: Any, outputs: int) -> Any:
    """A part of a body with the value and the number of pictures filled in."""
    if isinstance(part, Mapping):
        return {key: _filled(item, value, outputs) for key, item in part.items()}
    if isinstance(part, list):
        return [_filled(item, value, outputs) for item in part]
    return {"$value": value, "$outputs": outputs}.get(part, part) if isinstance(part, str) else part


def _check_names(known: Catalog) -> None:
    """Check names in one file that another file must define. NotConfigured with file, name and what is allowed."""
    columns = {column for backend in known.backends for column in backend.ids}
    lists = {backend.price_list for backend in known.backends}
    options = {*tool_rows()["arguments"], *UNASKED}
    for model in known.models:
        file = f"models/{model.name}.json"
        _known(file, "ids", model.ids, columns)
        _known(file, "prices", model.prices, lists)
        _known(file, "parameters", model.parameters, options)
    for backend in known.backends:
        _known(f"backends/{backend.name}.json", "parameters", backend.parameters, options)


def _check_states(known: Catalog) -> None:
    """Check the states of parameters in every file."""
    for name, row in tool_rows()["arguments"].items():
        _known("tools.json", f"arguments.{name}.state", [row.get("state", STATES[0])], STATES)
    for model in known.models:
        for name, parameter in model.parameters.items():
            _known(f"models/{model.name}.json", f"parameters.{name}.state", [parameter.state], STATES)
    for backend in known.backends:
        for name, state in backend.parameters.items():
            _known(f"backends/{backend.name}.json", f"parameters.{name}.state", [state], STATES)


def _known(file: str, field: str, given: Iterable[str], allowed: Collection[str]) -> None:
    for name in given:
        if name not in allowed:
            raise NotConfigured(
                Message("catalog.odd-data", file=file, field=field, got=name, allowed=sorted(allowed)),
                facts={"file": file, "field": field},
            )


def _read(folder: str, value_of: Callable[[Mapping[str, Any]], T]) -> list[T]:
    """One value for each file of a folder. NotConfigured: a file lacks a fact that every one has."""
    entries = sorted((files("seedframe") / "data" / folder).iterdir(), key=lambda entry: entry.name)
    return [_value(f"{folder}/{entry.name}", entry, value_of) for entry in entries if entry.name.endswith(".json")]


def _value(file: str, entry: Traversable, value_of: Callable[[Mapping[str, Any]], T]) -> T:
    data = read_json(entry)
    try:
        return value_of(data)
    except KeyError as missing:
        name = str(missing.args[0])
        raise NotConfigured(
            Message("catalog.missing-fact", file=file, field=name), facts={"file": file, "field": name}
        ) from None


def _model(data: Mapping[str, Any]) -> Model:
    size, references = data["size"], data["references"]
    return Model(
        name=data["name"],
        title=data["title"],
        aliases=tuple(data["aliases"]),
        released=data["released"],
        ids={column: tuple(ids) for column, ids in data["ids"].items()},
        prices=data.get("prices", {}),
        prompt_style=data["prompt_style"],
        response_format=data["response_format"],
        default_format=data["formats"]["default"],
        formats=tuple(data["formats"]["possible"]),
        default_size=size["default"],
        target_pixels=size["target_pixels"],
        presets={
            name: {ratio: Size.parse(text) for ratio, text in table.items()} for name, table in size["presets"].items()
        },
        limits=Limits(
            size["pixels"]["min"],
            size["pixels"]["max"],
            Fraction(size["ratio"]["min"]),
            Fraction(size["ratio"]["max"]),
            None,
        ),
        references=ReferenceLimits(
            count=references["max"],
            with_outputs=references["with_outputs"],
            max_bytes=references["max_bytes"],
            warn_bytes=references["warn_bytes"],
            min_side=references["min_side"],
            min_pixels=references["pixels"]["min"],
            max_pixels=references["pixels"]["max"],
            min_ratio=Fraction(references["ratio"]["min"]),
            max_ratio=Fraction(references["ratio"]["max"]),
            formats=tuple(references["formats"]),
            converted=tuple(references.get("converted", ())),
        ),
        parameters=_parameters(data["parameters"]),
        trust_days=data.get("seedance_trust", {}).get("days"),
        edit_marks=data.get("edit_marks", {}).get("max"),
        notes=data.get("notes", ""),
    )


def _parameters(entries: Mapping[str, Mapping[str, Any]]) -> dict[str, Parameter]:
    """Each parameter: the option's row, overridden by the model's file."""
    rows = tool_rows()["arguments"]
    everywhere = [name for name, row in rows.items() if "state" in row and name not in entries]
    return {name: _parameter(name, rows.get(name, {}), entries.get(name, {})) for name in (*entries, *everywhere)}


def _parameter(name: str, row: Mapping[str, Any], entry: Mapping[str, Any]) -> Parameter:
    known = {"wire", "state", "service", "schema"}
    return Parameter(
        name=name,
        wire=entry.get("wire", row.get("wire", name)),
        state=entry.get("state", row.get("state", "supported")),
        service=entry.get("service", row.get("service", "honoured")),
        schema=entry.get("schema", {} if entry else row.get("schema", {})),
        extra={key: value for key, value in entry.items() if key not in known},
        always=row.get("always", False),
    )


def _backend(data: Mapping[str, Any]) -> Backend:
    return Backend(
        name=data["name"],
        title=data["title"],
        dialect=data["dialect"],
        base_url=data["base_url"],
        prefix=data["prefix"],
        paths=data["paths"],
        ids=tuple(data["ids"]),
        key_settings=tuple(data["settings"]["key"]),
        key_prefix=data["settings"].get("key_prefix"),
        base_settings=tuple(data["settings"]["base"]),
        console=data.get("console"),
        images_per_minute=data["images_per_minute"],
        limits=data["limits"],
        parameters={name: entry["state"] for name, entry in data["parameters"].items()},
        response_format=data.get("response_format"),
        currency=data["prices"]["currency"],
        price_list=data["prices"]["list"],
        price_date=data["prices"]["date"],
        charges=data.get("charges", True),
        vendor=data["vendor"],
        free_probe=data["free_probe"],
    )
