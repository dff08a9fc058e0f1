"""The brief, part by part, in the words of a sheet: every slot becomes the pieces its sentence is joined from.

In: a `Brief`, a `Sheet`, the call's circumstances. Out: slot → pieces, and the words only the host can write.
Never in here: the order of slots, joining, dropping for length.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from seedframe.messages import Message
from seedframe.styling.brief import Brief, Edit, Lettering, Words
from seedframe.styling.language import quoted
from seedframe.styling.lexicon import Lexicon, Term
from seedframe.styling.schema import PICKED
from seedframe.styling.sheet import Sheet
from seedframe.styling.values import HostTask

_PANORAMA = 2.0
_DOUBLED = re.compile(r"[，、；,;]\s*(?=[，。；、,;])")
_COMMA = re.compile("[,，]")
_INNER_QUOTES = str.maketrans({"“": "‘", "”": "’", '"': "'"})


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of prompt.

    `own` are the caller's words, never taken for a repetition; `opening` leads it when it opens a sentence; `said` are
    words that make it superfluous when they stand elsewhere; `bind` glues it to the one before.
    """

    slot: str
    text: str
    own: bool = False
    opening: str = ""
    said: tuple[str, ...] = ()
    bind: str | None = None


@dataclass(frozen=True, slots=True)
class Frame:
    """What the call adds to a brief: ratio, size of the set, people in the picture, positive wordings of negatives."""

    prompt: str = ""
    ratio: str | None = None
    count: int | None = None
    keyframe: bool = False
    people: bool = False
    as_is: bool = False
    absent: tuple[Words, ...] = ()
    positive: tuple[Words, ...] = ()


class Wording:
    """Words a brief for one sheet. `tasks` collects what is missing in the sheet's language."""

    def __init__(self, brief: Brief, sheet: Sheet, lexicon: Lexicon, frame: Frame) -> None:
        self.brief, self.sheet, self.lexicon, self.frame = brief, sheet, lexicon, frame
        self.tasks: list[HostTask] = []

    def slots(self) -> dict[str, tuple[Piece, ...]]:
        """Every slot that has something to say."""
        brief = self.brief
        pieces: dict[str, Iterable[Piece]] = {
            "prompt": [Piece("prompt", self._trim(self.frame.prompt), own=True)],
            **{field: [self._free(field, words)] for field, words in brief.free.items()},
            "details": [self._own("details", words) for words in brief.details],
            "references": self._references(),
            "edits": [Piece("edits", self._edit(edit), own=True) for edit in brief.edits],
            "text": [Piece("text", self._lettering(item), own=True) for item in brief.text],
            "group": self._group(),
            "frames": self._frames(),
            "ratio": self._ratio(),
            **{field: self._picked(field) for field in PICKED},
            "avoid": self._avoid(),
            "must_keep": self._must_keep(),
        }
        said = {slot: tuple(piece for piece in found if piece.text) for slot, found in pieces.items()}
        return {slot: found for slot, found in self._leading(said).items() if found}

    def _leading(self, slots: dict[str, tuple[Piece, ...]]) -> dict[str, tuple[Piece, ...]]:
        """Uses that open the prompt move to their own slot where the sheet has one."""
        if not any("image_use_lead" in sentence for sentence in self.sheet.sentences):
            return slots
        clause = self.sheet.wording["clause"]
        leads = {item.wording(clause) for item in self._items("image_use") if isinstance(item, Term) and item.leads}
        uses = slots["image_use"]
        return {
            **slots,
            "image_use_lead": tuple(replace(piece, slot="image_use_lead") for piece in uses if piece.text in leads),
            "image_use": tuple(piece for piece in uses if piece.text not in leads),
        }

    # The caller's own words

    def say(self, words: Words, field: str) -> str:
        """The words in the sheet's language, trimmed; without them, the other language and a task for the host."""
        language = self.sheet.language
        text = words.get(language)
        if text is None:
            text = words.all
            if not self.frame.as_is:
                message = Message("styling.host-write", field=field, language=_language(language), text=text)
                self.tasks.append(HostTask(field, language, text, message))
        return self._trim(text)

    def _own(self, slot: str, words: Words) -> Piece:
        return Piece(slot, self.say(words, f"brief.{slot}"), own=True)

    def _free(self, field: str, words: Words) -> Piece:
        rule, text = self.sheet.rule(field), self.say(words, f"brief.{field}")
        lead = rule.get("lead", "")
        if lead and field == "setting" and self.brief.setting_lead:
            lead = self.brief.setting_lead.get(self.sheet.language) or ""
        elif lead and re.match(rule["lead_unless"], text):
            lead = ""
        elif lead and re.match(rule["place"], text):
            lead = rule["place_lead"]
        bound = "bind" in rule and re.match(rule["bind"], text)
        return Piece(field, lead + text, own=True, bind=rule.get("bind_glue", "") if bound else None)

    def _trim(self, text: str) -> str:
        """Drop marks at the ends, which joining adds, and doubled commas, unless they may stand in a quotation."""
        trimmed = text.strip().lstrip(self.sheet.marks["list"].strip() + "，,").rstrip(self.sheet.marks["trim"])
        return trimmed if quoted(trimmed) else _DOUBLED.sub("", trimmed)

    # Looked-up words

    def _items(self, field: str) -> tuple[Term | Words, ...]:
        items = self.brief.picked.get(field, ())
        if field == "image_use" and not items and self.frame.keyframe:
            return (self.lexicon.terms[self.sheet.keyframe_use],)
        if field == "quality":
            return items[: self.sheet.rule(field).get("max")]
        return items

    def _picked(self, field: str) -> list[Piece]:
        rule = self.sheet.rule(field)
        pieces = _shared([self._pick(field, item) for item in self._items(field)], rule)
        if "lead" in rule:
            pieces = _led(pieces)
        if pieces and "wrap_all" in rule:
            return [Piece(field, rule["wrap_all"].format(text=self._list([piece.text for piece in pieces])))]
        if pieces and "wrap" in rule and isinstance(self._items(field)[0], Term):
            head, comma, rest = pieces[0].text.partition(self.sheet.marks["piece"])
            pieces[0] = replace(pieces[0], text=rule["wrap"].format(text=head) + comma + rest)
        return pieces

    def _pick(self, field: str, item: Term | Words) -> Piece:
        rule = self.sheet.rule(field)
        if isinstance(item, Words):
            text = self.say(item, f"brief.{field}")
            if "free" not in rule or re.search(rule.get("free_unless", r"(?!)"), text):
                return Piece(field, text, own=True)
            return Piece(field, rule["free"].format(text=text), own=True, opening=rule.get("lead", ""))
        wording = self.sheet.wording
        text = item.wording(wording["clause" if self.frame.people else "object"])
        said = (item.wording(wording["name"]), text) if rule.get("said") else ()
        opening = "" if item.bare else rule.get("lead") or rule.get("opening", "")
        return Piece(field, text, opening=opening, said=said)

    # Composed slots

    def _references(self) -> list[Piece]:
        taken: dict[str, list[str]] = {}
        for reference in self.brief.references:
            take = self.say(reference.take, f"brief.references[{reference.n - 1}]") if reference.take.all else ""
            if take:
                taken.setdefault(take, []).append(self.sheet.forms["image"].format(n=reference.n))
        form = self.sheet.forms["reference"]
        return [
            Piece("references", form.format(take=take, images=self._list(images)), own=True)
            for take, images in taken.items()
        ]

    def _edit(self, edit: Edit) -> str:
        target = self.say(edit.target, "brief.edits.target") if edit.target else ""
        to = self.say(edit.to, "brief.edits.to") if edit.to else ""
        form = edit.op
        if edit.op == "add":
            place = re.search(self.sheet.rule("edits")["place"], target)
            form = "add_plain" if not target else "add" if place else "add_to"
        return self.sheet.forms[form].format(n=edit.n, target=target, to=to)

    def _lettering(self, item: Lettering) -> str:
        where = self.say(item.where, "brief.text.where") if item.where else self.sheet.forms["where"]
        look = item.type
        name = look.wording(self.sheet.wording["name"]) if isinstance(look, Term) else ""
        if isinstance(look, Words):
            name = self.say(look, "brief.text.type")
        form = self.sheet.forms["text" if name else "text_plain"]
        told = form.format(where=where, content=item.content.translate(_INNER_QUOTES), type=name)
        return told.strip() if where else told.replace("  ", " ").strip()

    def _group(self) -> list[Piece]:
        if not self.frame.count:
            return []
        link = [self._own("group", self.brief.link)] if self.brief.link else []
        return [Piece("group", self.sheet.forms["group"].format(count=self.frame.count), own=True), *link]

    def _frames(self) -> list[Piece]:
        told = [self.say(words, f"brief.group.items[{place}]") for place, words in enumerate(self.brief.frames)]
        frames = [self.sheet.forms["frame"].format(n=place, text=text) for place, text in enumerate(told, 1)]
        return [Piece("frames", frame, own=True) for frame in frames]

    def _ratio(self) -> list[Piece]:
        if not self.frame.ratio:
            return []
        shape = orientation(self.frame.ratio)
        return [Piece("ratio", self.sheet.forms[shape].format(ratio=self.frame.ratio))] if shape else []

    def _avoid(self) -> list[Piece]:
        positive = [Piece("avoid", self.say(words, "brief.avoid")) for words in self.frame.positive]
        items = [self.say(words, "brief.avoid") for words in self.frame.absent]
        absent = [Piece("avoid", self.sheet.forms["absent"].format(items=self._list(items)), own=True)] if items else []
        return [*positive, *absent]

    def _must_keep(self) -> list[Piece]:
        items = [self.say(words, "brief.must_keep") for words in self.brief.must_keep]
        return [Piece("must_keep", self.sheet.forms["keep"].format(items=self._list(items)), own=True)] if items else []

    def _list(self, items: Sequence[str]) -> str:
        """a, b and c; with plain commas when an item holds an "and" of its own."""
        marks = self.sheet.marks
        *most, last = items
        if not most or any(mark in item for mark in marks["and"].split("|") for item in items):
            return marks["list"].join(items)
        return marks["list"].join(most) + marks["last"] + last


def orientation(ratio: str) -> str | None:
    """portrait, landscape, square or panorama (2:1 and wider); None when it is not a ratio."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?):(\d+(?:\.\d+)?)", ratio)
    if not match or not float(match[2]):
        return None
    share = float(match[1]) / float(match[2])
    if share == 1:
        return "square"
    return "portrait" if share < 1 else "panorama" if share >= _PANORAMA else "landscape"


def _shared(pieces: list[Piece], rule: Mapping[str, Any]) -> list[Piece]:
    """Neighbours that begin and end alike tell the common words once: 赛博朋克与蒸汽朋克风格."""
    shared = rule.get("shared")
    if not shared:
        return pieces
    head, tail = shared.get("head", ""), shared.get("tail", "")
    merged: list[Piece] = []
    for piece in pieces:
        last = merged[-1] if merged else None
        if last and all(_framed(text, head, tail) for text in (last.text, piece.text)):
            body = last.text[: len(last.text) - len(tail)] + shared["glue"] + piece.text[len(head) :]
            merged[-1] = replace(last, text=body)
        else:
            merged.append(piece)
    return merged


def _led(pieces: list[Piece]) -> list[Piece]:
    """The first piece that wants the slot's lead gets it; the others follow without."""
    first = next((piece for piece in pieces if piece.opening), None)
    return [
        replace(piece, text=piece.opening + piece.text if piece is first else piece.text, opening="")
        for piece in pieces
    ]


def _framed(text: str, head: str, tail: str) -> bool:
    return text.startswith(head) and text.endswith(tail) and not _COMMA.search(text)


def _language(language: str) -> Message:
    return Message(f"styling.language-{language}")
