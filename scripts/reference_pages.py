"""Pages and tables computed from the data, so that no fact about a model or an error is written by hand.

In: the catalog, the settings' table, the exception tree, the fault table of the tests. Out: Markdown. `main` rewrites
`references/models.md`, `references/errors.md`, in the pages written by hand the parts between
`<!-- generated: NAME -->` and `<!-- end -->`, and the file of `scripts.first_answers`.
Never in here: a fact, a sentence about one model.
"""

from __future__ import annotations

import json
import re
import sys
import textwrap
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from importlib.resources import files
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any, TypeVar

from seedframe import errors
from seedframe.catalog import ApiErrorRow, Backend, Model, api_errors, catalog, code_aliases, tool_rows
from seedframe.geometry import exact_size, parse_ratio, ratio_text
from seedframe.limits import limit_rows
from seedframe.prompting.style_sheet import sheet
from seedframe.settings import SETTINGS
from seedframe.storyboard.handoff.manifest import seedance

MARK = re.compile(r"(<!-- generated: (\S+) -->\n).*?(<!-- end -->)", re.DOTALL)
_RATIOS = ("9:16", "16:9", "1:1", "3:4", "4:3", "2:3", "3:2", "21:9")
_PLAIN = ("prompt", "images")
_SERVICE = {
    "honoured": "sent",
    "unproven": "sent (effect unproven)",
    "ignored": "sent (no documented effect)",
    "rejected": "sent (may be refused)",
}
_RETRIES = {
    "never": "no",
    "later": "yes, after a pause of at most 60 s",
    "inline": "once",
    "without-parameter": "once, without it",
    "unknown": "never by itself",
}
_CHINESE = {
    "model": "模型",
    "reads best": "最擅长理解",
    "at most": "最大",
    "input pictures": "输入图",
    "related sets": "组图",
    "yes": "支持",
    "Chinese prose": "连贯的中文",
    "English keywords": "英文关键词",
    " each (": "/张（",
    ")": "）",
    " px": " 像素",
}
"""What the short table of models says, in Chinese."""

_PRICES = {
    "up_to": "{each} up to {pixels} px",
    "above": "{each} above",
    "between": ", ",
    "input": "; {each} per input picture",
    "free": " after {free}",
}
_CHINESE_PRICES = {
    "up_to": "{pixels} 像素以内 {each}",
    "above": "更大 {each}",
    "between": "，",
    "input": "；输入图每张另加 {each}",
    "free": "（前 {free} 张免费）",
}

_LANGUAGES = {"zh": "Chinese prose", "en": "English keywords"}

Rows = Iterable[Sequence[object]]
Facts = TypeVar("Facts", bound=Hashable)


def main() -> None:
    """Rewrite every generated text of the checkout this module lies in, and report on stderr which ones changed."""
    from scripts.first_answers import ANSWERS, first_answers_text  # the SDK is not loaded for a page

    root = checkout(Path(__file__).resolve())
    for path, text in generated(root).items():
        _write(root, path, text)
    _write(root, root / ANSWERS, first_answers_text())  # the pages are among what the server lists


def _write(root: Path, path: Path, text: str) -> None:
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")
        sys.stderr.write(f"rewritten: {path.relative_to(root)}\n")


def checkout(module: Path) -> Path:
    """The root of the checkout that holds this module; SystemExit with a sentence when it is installed elsewhere."""
    root = module.parents[1]
    if (root / "pyproject.toml").is_file():
        return root
    raise SystemExit(f"{module} is not in a checkout of Seedframe, so there are no pages to rewrite. Run it there.")


def generated(root: Path) -> dict[Path, str]:
    """What each file of the checkout should hold."""
    faults = root / "tests" / "cases" / "fault_table.json"
    rows = json.loads(faults.read_text(encoding="utf-8")) if faults.is_file() else []
    marked = tuple(root / "references" / f"{name}.md" for name in ("settings", "storyboards", "networks"))
    beside = (root / "docs" / name for name in ("hosts.md", "zh/hosts.md", "zh/models.md"))
    marked += tuple(path for path in beside if path.is_file())
    return {
        root / "references" / "models.md": models_page(),
        root / "references" / "errors.md": errors_page(rows),
        **{path: filled(path.read_text(encoding="utf-8"), marked_tables()) for path in marked},
    }


def filled(text: str, tables: Mapping[str, str]) -> str:
    """A text with its marked parts replaced; KeyError for a mark that nothing is generated for."""
    return MARK.sub(lambda mark: f"{mark[1]}{tables[mark[2]]}{mark[3]}", text)


def marked_tables() -> dict[str, str]:
    """Mark → Markdown, for the pages written by hand: one for each key."""
    return {
        "settings": settings_table(),
        "errors": _failures(),
        "seedance": seedance_table(),
        "limits": limits_table(),
        "hosts": hosts_block(),
        "models-zh": _models_short(_CHINESE),
    }


def hosts_block() -> str:
    """The line to type, or the lines of a configuration file, for every host that `seedframe setup` knows."""
    text = (
        (files("seedframe") / "data" / "host_setup.json").read_text(encoding="utf-8").replace("{command}", "seedframe")
    )
    parts = []
    for host in json.loads(text)["hosts"]:
        if "line" in host:
            parts.append(f"**{host['title']}**\n\n```sh norun\n{host['line']}\n```\n")
        else:
            shown = json.dumps(host["json"], ensure_ascii=False, indent=2)
            parts.append(f"**{host['title']}** · `{host['file']}`\n\n```json\n{shown}\n```\n")
    return "\n".join(parts)


def seedance_table() -> str:
    """What the video step takes, one row a version, and what holds for all."""
    limits = seedance()
    images, trust, words = limits["images"], limits["trust"], limits["prompt"]
    rows = [
        (f"**{name}**", _span(m["duration"], "s"), _span(m["references"], ""), ", ".join(m["frame_ratios"]))
        for name, m in limits["models"].items()
    ]
    kinds = ", ".join(mime.removeprefix("image/") for mime in images["mime"])
    lines = [
        f"- Picture: {kinds}; below {_pixels(images['bytes_below'])} bytes; sides {_span(images['side'], 'px')}; "
        f"width / height {_span(images['ratio'], '')}; all of a request {_pixels(images['request_bytes'])} bytes.",
        f"- Video prompt: at most {words['han']} Chinese characters or {words['words']} English words.",
        f"- Roles: {limits['roles']['about']}",
        f"- Trusted faces: {', '.join(trust['models'])} on {', '.join(trust['backends'])}, made since "
        f"{trust['since']}, for {trust['days']} days. {trust['about']}",
        f"- Source: {limits['source']}; read {limits['date']}.",
    ]
    return (
        _table(("Seedance", "length", "reference pictures", "ratios of frame jobs"), rows)
        + "\n"
        + "\n".join(lines)
        + "\n"
    )


def limits_table() -> str:
    """Every limit on what comes from outside, with its reason."""
    rows = [(f"`{name}`", f"{row['value']:,} {row['unit']}", row["why"]) for name, row in limit_rows().items()]
    return _table(("limit", "value", "why"), rows)


def settings_table() -> str:
    """Every environment variable: Seedframe's own, then keys and base addresses by backend."""
    own = [(f"`{row.name}`", row.default, row.meaning.text("en")) for row in SETTINGS]
    keys = [(_codes(b.key_settings), "–", f"API key for {b.title}") for b in catalog().backends if b.key_settings]
    bases = [
        (_codes(b.base_settings), b.base_url if b.vendor else "–", f"base address of {b.title}")
        for b in catalog().backends
        if b.base_settings
    ]
    return _table(("variable", "default", "meaning"), [*own, *keys, *bases])


def models_page() -> str:
    """`references/models.md`: limits, ids, prices, arguments and exact sizes of every model."""
    models = catalog().models
    parts = [
        "# Models, backends, prices and sizes\n",
        _generated_from("skill/seedframe/data/models/*.json and backends/*.json"),
        "## Choosing\n",
        _models_short(),
        "## Limits\n",
        _limits(models),
        "## Input pictures\n",
        _references(models),
        "## Arguments\n",
        "sent: goes to the service · dropped: accepted, not sent, a warning says so (`negative_prompt` is restated "
        "positively) · refused: an error before anything is paid, with the model to use instead. A backend can be "
        "stricter, see below.\n",
        _arguments(models),
        "## Ids and list prices\n",
        _prices(models),
        "## Backends\n",
        _backends(),
        "## Exact sizes by ratio\n",
        "What is asked for when `ratio` is given: without `size`, and with a preset as `size`. A preset without "
        "`ratio` goes out as it is, and the model then chooses the shape.\n",
        *_sizes(models),
        "## Notes in the data\n",
        _notes(models),
    ]
    return "\n".join(parts)


def errors_page(faults: Sequence[Mapping[str, object]] = ()) -> str:
    """`references/errors.md`: every way to fail. `faults`: measured rows, flat objects with the same keys."""
    parts = [
        "# Errors: what happened, what was billed, what to try\n",
        _generated_from("skill/seedframe/errors.py and data/api_errors.json"),
        "## Seedframe's own answers\n",
        "`error` in the JSON of a failed call is one of these; the keys beside it give field, limits, codes, money.\n",
        _failures(),
        "## What the service says\n",
        "repeated: whether Seedframe asks again by itself. billed: what the answer proves.\n",
        *_service_errors(),
        "## Codes other documents use\n",
        "Understood when a gateway sends them, and read as the service's own code.\n",
        _table(("code", "read as"), [(f"`{alias}`", f"`{code}`") for alias, code in code_aliases().items()]),
        "<!-- generated: fault-table -->\n" + _faults(faults) + "<!-- end -->\n",
    ]
    return "\n".join(parts)


def _models_short(words: Mapping[str, str] | None = None) -> str:
    say = (words or {}).get
    rows = [
        (
            f"**{m.name}**" + (f" (= {m.aliases[0]})" if m.aliases[0][:1].isdigit() else ""),
            say(language := _LANGUAGES[sheet(m.prompt_style).language], language),
            exact_size(parse_ratio("9:16"), m.target_pixels, m.limits),
            _worded(f"{_pixels(m.limits.max_pixels)} px", words),
            m.references.count,
            say("yes", "yes") if _state(m, "related") == "sent" else "–",
            *(_price(b, m, _CHINESE_PRICES if words else _PRICES) for b in _vendors()),
        )
        for m in catalog().models
    ]
    head = (
        "model",
        "reads best",
        "9:16",
        "at most",
        "input pictures",
        "related sets",
        *(_priced(b) for b in _vendors()),
    )
    return _table([_worded(column, words) for column in head], rows)


def _worded(text: str, words: Mapping[str, str] | None) -> str:
    """A text with its English parts in another language, the longest first."""
    for english in sorted(words or {}, key=len, reverse=True):
        text = text.replace(english, (words or {})[english])
    return text


def _limits(models: Sequence[Model]) -> str:
    rows = [
        (
            f"**{m.name}**",
            ", ".join(f"`{alias}`" for alias in m.aliases),
            m.released,
            m.prompt_style,
            f"{_pixels(m.limits.min_pixels)} – {_pixels(m.limits.max_pixels)}",
            f"{ratio_text(m.limits.min_ratio)} – {ratio_text(m.limits.max_ratio)}",
            " ".join(m.presets),
            m.default_size,
            f"{', '.join(m.formats)} ({m.default_format})",
            f"{m.trust_days} days" if m.trust_days else "never",
        )
        for m in models
    ]
    head = ("model", "also", "released", "style sheet", "pixels", "ratio", "presets", "default size", "file (default)")
    return _table((*head, "faces trusted by Seedance"), rows)


def _references(models: Sequence[Model]) -> str:
    head = ("models", "at most", "with outputs", "bytes each", "each side", "pixels each", "ratio", "formats")

    def facts(model: Model) -> tuple[object, ...]:
        r = model.references
        pixels = f"{_pixels(r.min_pixels)} – {_pixels(r.max_pixels)}"
        ratio = f"{ratio_text(r.min_ratio)} – {ratio_text(r.max_ratio)}"
        limit = f"{_pixels(r.max_bytes)} (warning above {_pixels(r.warn_bytes)})"
        return (r.count, r.with_outputs, limit, f">= {r.min_side} px", pixels, ratio, ", ".join(r.formats))

    return _table(head, [(", ".join(names), *row) for row, names in _grouped(models, facts)])


def _arguments(models: Sequence[Model]) -> str:
    names = [name for name in tool_rows()["arguments"] if name in models[0].parameters and name not in _PLAIN]
    rows = [(f"`{name}`", *(_state(model, name) for model in models)) for name in names]
    return _table(("argument", *(model.name for model in models)), rows)


def _state(model: Model, name: str) -> str:
    """What becomes of an argument, with the values it may have where they are few."""
    parameter = model.parameters.get(name)
    if parameter is None or parameter.state == "refused":
        instead = parameter.extra.get("instead") if parameter else None
        return f"refused → {instead}" if instead else "refused"
    if parameter.state == "ignored":
        return "dropped"
    service, values = _SERVICE[parameter.service], parameter.schema.get("enum")
    return f"{service}: {', '.join(values)}" if values else service


def _prices(models: Sequence[Model]) -> str:
    columns = [backend for backend in catalog().backends if backend.name != "emulator"]
    ids = [[_codes(model.ids_on(backend)) for backend in columns] for model in models]

    def priced(backend: Backend) -> bool:
        return any(model.prices_on(backend) for model in models)

    prices = [[_price(backend, model) for backend in columns if priced(backend)] for model in models]
    head = (
        "model",
        *(f"{b.name} id" for b in columns),
        *(_priced(b) for b in columns if priced(b)),
    )
    return _table(head, [(f"**{m.name}**", *names, *each) for m, names, each in zip(models, ids, prices, strict=True)])


def _price(backend: Backend, model: Model, words: Mapping[str, str] = _PRICES) -> str:
    listed = model.prices_on(backend)
    if listed is None:
        return "–"
    tiers = listed.get("tiers", [])
    steps = [_step(tier, words) for tier in tiers] or [listed["each"]]
    price = words["between"].join(steps)
    fee = listed.get("input")
    if fee:
        price += words["input"].format(**fee) + (words["free"].format(**fee) if fee["free"] else "")
    return price


def _step(tier: Mapping[str, Any], words: Mapping[str, str]) -> str:
    if "up_to_pixels" in tier:
        return words["up_to"].format(each=tier["each"], pixels=_pixels(tier["up_to_pixels"]))
    return words["above"].format(each=tier["each"])


def _priced(backend: Backend) -> str:
    return f"{backend.name} {backend.currency} each ({backend.price_date})"


def _backends() -> str:
    rows = [
        (
            f"`{b.name}`",
            b.title,
            b.base_url if b.vendor else "–",
            _codes(b.key_settings),
            _codes(b.base_settings),
            ", ".join(f"{name} {value}" for name, value in b.limits.items()) or "the model's",
            ", ".join(f"{name} {_overruled(state)}" for name, state in b.parameters.items()) or "–",
        )
        for b in catalog().backends
    ]
    return _table(("backend", "who", "address", "key", "address setting", "limits", "arguments"), rows)


def _overruled(state: str) -> str:
    return "dropped" if state == "ignored" else state


def _vendors() -> list[Backend]:
    return [backend for backend in catalog().backends if backend.vendor]


def _sizes(models: Sequence[Model]) -> Iterator[str]:
    def table(model: Model) -> str:
        return _table(("ratio", "no size", *model.presets), [_sizes_of(model, ratio) for ratio in _RATIOS])

    for section, names in _grouped(models, table):
        yield f"**{', '.join(names)}**\n"
        yield section


def _sizes_of(model: Model, ratio: str) -> tuple[object, ...]:
    levels = [model.target_pixels, *(table["1:1"].pixels for table in model.presets.values())]
    return (ratio, *(exact_size(parse_ratio(ratio), level, model.limits) for level in levels))


def _notes(models: Sequence[Model]) -> str:
    lines = [f"- {model.name}: {model.notes}" for model in models if model.notes]
    said = [(p.extra["note"], name, m.name) for m in models for name, p in m.parameters.items() if "note" in p.extra]
    for note, about in groupby(sorted(said, key=itemgetter(0, 1)), key=itemgetter(0, 1)):
        lines.append(f"- `{note[1]}` ({', '.join(model for _, _, model in about)}): {note[0]}")
    return "\n".join(lines) + "\n"


def _failures() -> str:
    """The tree drawn on top of `errors.py`."""
    tree = (errors.__doc__ or "").partition("\n\n")[2].partition("\n\n")[0]
    return f"```text\n{textwrap.dedent(tree)}\n```\n"


def _service_errors() -> Iterator[str]:
    rows = sorted(api_errors(), key=lambda row: row.error_class)
    for name, members in groupby(rows, key=lambda row: row.error_class):
        yield f"### {name}\n"
        yield _table(("code", "HTTP", "it says", "repeated", "billed", "what to try"), map(_error_row, members))


def _error_row(row: ApiErrorRow) -> tuple[object, ...]:
    return (f"`{row.code}`", row.status, row.message, _RETRIES[row.retry], row.billed, row.advice.text("en"))


def _faults(rows: Sequence[Mapping[str, object]]) -> str:
    if not rows:
        return ""
    section = "## Fault table\n\nMeasured by the tests: each fault was really caused, then the payment record was "
    section += "opened again and the same request repeated. Money is what the record says.\n\n"
    return section + _table(list(rows[0]), [list(row.values()) for row in rows])


def _generated_from(data: str) -> str:
    return f"<!-- Computed from {data} by `make docs`. Edit those, not this page. -->\n"


def _grouped(models: Sequence[Model], facts: Callable[[Model], Facts]) -> Iterator[tuple[Facts, list[str]]]:
    groups: dict[Facts, list[str]] = {}
    for model in models:
        groups.setdefault(facts(model), []).append(model.name)
    yield from groups.items()


def _span(ends: Sequence[object], unit: str) -> str:
    return f"{ends[0]} to {ends[1]} {unit}".rstrip()


def _pixels(number: int) -> str:
    return f"{number:,}"


def _codes(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names) or "–"


def _table(head: Sequence[str], rows: Rows) -> str:
    """A Markdown table; a bar inside a cell is escaped."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join("| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |\n" for line in lines)


if __name__ == "__main__":
    main()
