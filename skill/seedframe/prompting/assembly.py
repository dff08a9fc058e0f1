"""Pieces become a prompt: sentences in the sheet's order, nothing said twice, whole slots dropped when it is too long.

In: slot → pieces and a sheet. Out: the prompt and what was dropped. Never in here: wording, a rule about one slot.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from seedframe.prompting.language import han, words
from seedframe.prompting.lint_data import rule_table
from seedframe.prompting.piece import Phrase
from seedframe.prompting.style_sheet import Sheet
from seedframe.prompting.types import Counts

Slots = Mapping[str, Sequence[Phrase]]
_CLOSED = tuple("。！？!?…")
_LEADING = ("place", "subject", "action")


def measured(text: str) -> Counts:
    """Length of a text and its share of the budget, rounded to a thousandth."""
    limit = rule_table()["length"]
    characters, other = han(text), words(text)
    return Counts(characters, other, round(characters / limit["han"] + other / limit["words"], 3))


def fitted(slots: Slots, sheet: Sheet) -> tuple[str, tuple[str, ...]]:
    """The prompt, and the slots left out so that it keeps within the budget (or there is nothing left to drop)."""
    kept, dropped = dict(slots), []
    prompt = joined(kept, sheet)
    for slot in sheet.drop:
        if measured(prompt).budget <= 1:
            break
        if kept.pop(slot, None):
            dropped.append(slot)
            prompt = joined(kept, sheet)
    return prompt, tuple(dropped)


def joined(slots: Slots, sheet: Sheet) -> str:
    """The prompt of these slots."""
    kept = _unrepeated(slots, sheet)
    runs: list[list[Phrase]] = []
    for order in ordered(slots, sheet):
        for run in _runs([piece for slot in order for piece in kept.get(slot, ())], sheet):
            if runs and _leans(runs[-1], run, sheet):
                runs[-1] += run
            else:
                runs.append(run)
    separator = "" if sheet.marks["end"] else sheet.marks["piece"]
    return separator.join(_sentence(run, sheet) for run in runs)


def ordered(slots: Slots, sheet: Sheet) -> tuple[tuple[str, ...], ...]:
    """The order of the slots: time and place open the lead sentence where they are phrases that can."""
    unplaced = "setting" in slots and "place" not in slots
    lead = "subject" in slots or "action" in slots
    return sheet.sentences if unplaced or not lead or not sheet.fronted else sheet.fronted


def _leans(before: Sequence[Phrase], run: Sequence[Phrase], sheet: Sheet) -> bool:
    """Whether a sentence joins the one before it: both about the look, one of them short, and not too long together."""
    both = [*before, *run]
    if not all(piece.slot in sheet.lean["slots"] for piece in both) or min(len(before), len(run)) > 1:
        return False
    return sum(len(_clauses(piece.text, sheet)) for piece in both) <= int(sheet.lean["clauses"])


def _runs(pieces: Sequence[Phrase], sheet: Sheet) -> list[list[Phrase]]:
    """The pieces of one sentence; slots that stand apart make a sentence of each piece."""
    if not pieces:
        return []
    if sheet.rule(pieces[0].slot).get("apart"):
        return [[piece] for piece in pieces]
    return [list(pieces)]


def _sentence(pieces: Sequence[Phrase], sheet: Sheet) -> str:
    text = pieces[0].opening + pieces[0].text
    for before, piece in pairwise(pieces):
        text += _glue(before, piece, sheet) + piece.text
    return text if text.endswith(_CLOSED) else text + sheet.marks["end"]


def _glue(before: Phrase, piece: Phrase, sheet: Sheet) -> str:
    rule, comma = sheet.rule(piece.slot), sheet.marks["piece"]
    if before.slot == piece.slot:
        glue: str = rule.get("glue", comma)
        return glue
    bound = piece.bind is not None and before.slot in _LEADING and _binds(before.text, rule)
    return piece.bind or "" if bound else comma


def _binds(text: str, rule: Mapping[str, Any]) -> bool:
    return not re.search(rule.get("bind_unless", "，"), text) and len(text) <= rule.get("bind_within", len(text))


def _unrepeated(slots: Slots, sheet: Sheet) -> dict[str, list[Phrase]]:
    """The pieces without those that repeat what stands elsewhere in the prompt."""
    everything = [piece for order in ordered(slots, sheet) for slot in order for piece in slots.get(slot, ())]
    own = {clause for piece in everything if piece.own for clause in _clauses(piece.text, sheet)}
    kept: dict[str, list[Phrase]] = {}
    stated: set[str] = set()
    for piece in everything:
        clauses = set(_clauses(piece.text, sheet))
        if not piece.own and (clauses <= stated | own or _said(piece, everything)):
            continue
        stated |= clauses
        kept.setdefault(piece.slot, []).append(piece)
    return kept


def _clauses(text: str, sheet: Sheet) -> list[str]:
    return [clause.strip().casefold() for clause in text.split(sheet.marks["piece"])]


def _said(piece: Phrase, everything: Sequence[Phrase]) -> bool:
    rivals = (other for other in everything if other is not piece and not (other.said and other.slot == piece.slot))
    others = "\n".join(other.text for other in rivals)
    return any(_names(others, word) for word in piece.said)


def _names(text: str, word: str) -> bool:
    if word.isascii():
        return re.search(rf"(?<![\w-]){re.escape(word)}(?![\w-])", text, re.IGNORECASE) is not None
    return word in text
