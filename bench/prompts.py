"""`python -m bench.prompts [FILE…] [--model NAME] [--show CODE]`: what the lint says about people's prompts.

Without a file the project's own sample sets are read, one of each language. A file is csv, tsv, json, jsonl or txt (a
prompt a line); the column that holds the prompts is found by its name, else by its length. Every set is checked on the
model that reads its language best, and on one of the other language, where nothing but advice about the language may
come. Exit code 1 when a target is missed.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seedframe.catalog import catalog
from seedframe.prompting import StyledPrompt, quotation, text_language
from seedframe.prompting.prompt_input import prompt_input, style_prompt_of

BACKEND = "ark"
OWN_SETS = tuple(
    Path(__file__).parents[1] / "tests" / "cases" / "prompts" / name for name in ("good_zh.txt", "good_en.tsv")
)
MODELS = {"zh": "5.0-lite", "en": "4.5"}
LANGUAGE_CODES = frozenset({"LANG_5", "LANG_45"})
MOST_REFUSED, MOST_WARNED = 0.005, 0.15
csv.field_size_limit(10_000_000)


@dataclass(frozen=True, slots=True)
class Verdict:
    """One prompt and what was noticed; `suspect` is lettering called unquoted in a prompt that has quotations."""

    prompt: str
    refused: tuple[str, ...]
    warned: tuple[str, ...]
    suspect: bool


@dataclass(frozen=True, slots=True)
class Row:
    """One set on one model. `native`: the set is in the language the model reads best."""

    name: str
    model: str
    native: bool
    verdicts: tuple[Verdict, ...]

    @property
    def refused(self) -> float:
        """Share of prompts with an error."""
        return sum(bool(verdict.refused) for verdict in self.verdicts) / max(len(self.verdicts), 1)

    @property
    def warned(self) -> float:
        """Share of prompts with a warning or an error; on a foreign model advice about the language is expected."""
        return sum(bool(self._unexpected(verdict)) for verdict in self.verdicts) / max(len(self.verdicts), 1)

    @property
    def suspects(self) -> int:
        """Prompts whose lettering is perhaps quoted after all."""
        return sum(verdict.suspect for verdict in self.verdicts)

    @property
    def holds(self) -> bool:
        """Whether the targets are met."""
        return self.refused <= MOST_REFUSED and self.warned <= MOST_WARNED and not self.suspects

    def codes(self) -> Counter[str]:
        """How many prompts each code was found in."""
        return Counter(code for verdict in self.verdicts for code in {*verdict.refused, *verdict.warned})

    def _unexpected(self, verdict: Verdict) -> set[str]:
        return {*verdict.refused, *verdict.warned} - (frozenset() if self.native else LANGUAGE_CODES)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table; 1 when a target is missed."""
    options = argparse.ArgumentParser(prog="python -m bench.prompts", description=__doc__)
    options.add_argument("files", nargs="*", type=Path, metavar="FILE", help="default: the project's own sets")
    options.add_argument("--model", help="check on this model only")
    options.add_argument("--show", metavar="CODE", help="print the prompts in which a code was found")
    given = options.parse_args(arguments)
    rows = [row for path in given.files or OWN_SETS for row in measured(path, given.model)]
    print("\n".join(table(rows)))
    for row in rows if given.show else ():
        for verdict in row.verdicts:
            if given.show in (*verdict.refused, *verdict.warned):
                print(f"{row.name} {row.model}: {verdict.prompt}")
    return 0 if all(row.holds for row in rows) else 1


def measured(path: Path, model: str | None = None) -> Iterator[Row]:
    """The rows of one file: the model of its language first."""
    prompts = read_prompts(path)
    language = "zh" if sum(text_language(prompt) == "zh" for prompt in prompts) * 2 > len(prompts) else "en"
    native = MODELS[language]
    for name in (model,) if model else (native, *(other for other in MODELS.values() if other != native)):
        reads = catalog().offer(name, catalog().backend(BACKEND), {}).model.prompt_style
        best = reads == catalog().offer(native, catalog().backend(BACKEND), {}).model.prompt_style
        yield Row(path.name, name, best, tuple(verdict(prompt, name) for prompt in prompts))


def verdict(prompt: str, model: str) -> Verdict:
    """One prompt, as `generate_image` would judge it."""
    offer = catalog().offer(model, catalog().backend(BACKEND), {})
    styled = style_prompt_of(prompt_input(offer, prompt=prompt), offer)
    warned = _codes(styled, "warning")
    return Verdict(prompt, _codes(styled, "error"), warned, "TEXT_UNQUOTED" in warned and quotation(prompt))


def table(rows: Iterable[Row]) -> Iterator[str]:
    """The table, a line for each set and model."""
    yield f"{'set':<28} {'model':<9} {'prompts':>7} {'refused':>8} {'warned':>8} {'suspects':>8}  codes"
    for row in rows:
        codes = ", ".join(f"{code} {count}" for code, count in row.codes().most_common())
        mark = "" if row.holds else "  MISSED"
        yield (
            f"{row.name:<28} {row.model:<9} {len(row.verdicts):>7} {row.refused:>8.2%} {row.warned:>8.2%}"
            f" {row.suspects:>8}  {codes}{mark}"
        )


def read_prompts(path: Path) -> list[str]:
    """The prompts of a file. ValueError when no column holds texts."""
    text = path.read_text(encoding="utf-8-sig")
    kind = path.suffix.lower()
    if kind == ".txt":
        return [line.strip() for line in text.splitlines() if line.strip()]
    if kind == ".json":
        return _from_json(json.loads(text))
    if kind == ".jsonl":
        return _from_json([json.loads(line) for line in text.splitlines() if line.strip()])
    lines = text.splitlines(keepends=True)
    return _column(list(csv.DictReader(lines, delimiter="\t" if kind == ".tsv" else ",")))


def _from_json(content: Any) -> list[str]:
    if isinstance(content, Mapping):
        content = next((part for part in content.values() if isinstance(part, list)), list(content.values()))
    if content and isinstance(content[0], str):
        return [part for part in content if part.strip()]
    return _column(content)


def _column(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """The texts of the column named like a prompt; among several, or none, the one with the longest texts."""
    names = [name for name in rows[0] if name and isinstance(rows[0][name], str)]
    if not names:
        raise ValueError("no column holds texts")
    named = [name for name in names if "prompt" in name.lower() and "id" not in name.lower()]
    best = max(named or names, key=lambda name: sum(len(row.get(name) or "") for row in rows))
    return [row[best].strip() for row in rows if (row.get(best) or "").strip()]


def _codes(styled: StyledPrompt, severity: str) -> tuple[str, ...]:
    return tuple(finding.code for finding in styled.findings if finding.severity == severity)


if __name__ == "__main__":
    sys.exit(main())
