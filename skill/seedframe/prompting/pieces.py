"""Words the brief part by part for a sheet: every slot becomes the pieces that its sentence is joined from.

In: a `Brief`, a `Sheet`, the call's circumstances. Out: slot → pieces, and the words only the host can write.
Never in here: the order of slots, joining, dropping for length.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from seedframe.messages import Message
from seedframe.prompting.brief import Brief, BriefWords, Edit, Lettering
from seedframe.prompting.brief_schema import PICKED
from seedframe.prompting.language import han, quoted
from seedframe.prompting.lead import lead_slots
from seedframe.prompting.lexicon import Lexicon, Term
from seedframe.prompting.lint_data import finding
from seedframe.prompting.piece import Phrase
from seedframe.prompting.style_sheet import Sheet
from seedframe.prompting.types import HostTask, PromptFinding

_PANORAMA = 2.0
_DOUBLED = re.compile(r"[，、；,;]\s*(?=[，。；、,;])")
_COMMA = re.compile("[,，]")
_INNER_QUOTES = str.maketrans({"“": "‘", "”": "’", '"': "'"})


@dataclass(frozen=True, slots=True)
class Frame:
    """What the call adds to a brief: ratio, size of the set, people in the picture, positive wordings of negatives.

    `want` is the language the model wants; the brief may be worded in the other one.
    """

    prompt: str = ""
    ratio: str | None = None
    count: int | None = None
    keyframe: bool = False
    people: bool = False
    as_is: bool = False
    want: Literal["zh", "en"] = "zh"
    positive: tuple[BriefWords, ...] = ()


class Wording:
    """Words a brief for one sheet. `tasks` collects what is missing in the language the model wants."""

    def __init__(self, brief: Brief, sheet: Sheet, lexicon: Lexicon, frame: Frame) -> None:
        self.brief, self.sheet, self.lexicon, self.frame = brief, sheet, lexicon, frame
        self.tasks: list[HostTask] = []
        self.enriched: list[str] = []

    def slots(self) -> dict[str, tuple[Phrase, ...]]:
        """Every slot with content."""
        brief = self.brief
        pieces: dict[str, Iterable[Phrase]] = {
            "prompt": [Phrase("prompt", self._trim(self.frame.prompt), own=True)],
            **lead_slots(brief, self.sheet, self.say, prompt=self.frame.prompt),
            "details": self._details(),
            "references": self._references(),
            "edits": [Phrase("edits", self._edit(edit), own=True) for edit in brief.edits],
            "text": [Phrase("text", self._lettering(item), own=True) for item in brief.text],
            "group": self._group(),
            "frames": self._frames(),
            "ratio": self._ratio(),
            **{field: self._picked(field) for field in PICKED},
            "avoid": self._avoid(),
            "must_keep": self._must_keep(),
        }
        said = {slot: tuple(piece for piece in found if piece.text) for slot, found in pieces.items()}
        return {slot: found for slot, found in self._leading(said).items() if found}

    def _leading(self, slots: dict[str, tuple[Phrase, ...]]) -> dict[str, tuple[Phrase, ...]]:
        """Image uses that open the prompt move to their own slot where the sheet has one."""
        if not any("image_use_lead" in sentence for sentence in self.sheet.sentences):
            return slots
        uses = [(item, self._pick("image_use", item)) for item in self._items("image_use")]
        leading = [isinstance(item, Term) and item.leads for item, _ in uses]
        return {
            **slots,
            "image_use_lead": tuple(
                replace(piece, slot="image_use_lead") for (_, piece), leads in zip(uses, leading, strict=True) if leads
            ),
            "image_use": tuple(piece for (_, piece), leads in zip(uses, leading, strict=True) if not leads),
        }

    # The caller's own words

    def say(self, words: BriefWords, field: str) -> str:
        """The words in the sheet's language, else as given; a task for the host where the model wants others."""
        text = words.get(self.sheet.language)
        want = self.frame.want
        if words.get(want) is None and not self.frame.as_is:
            message = Message("styling.host-write", field=field, language=_language(want), text=words.all)
            self.tasks.append(HostTask(field, want, words.all, message))
        return self._trim(words.all if text is None else text)

    def _own(self, slot: str, words: BriefWords) -> Phrase:
        return Phrase(slot, self.say(words, f"brief.{slot}"), own=True)

    def _details(self) -> list[Phrase]:
        rule = self.sheet.rule("details")
        pieces = [self._own("details", words) for words in self.brief.details]
        if pieces and "nominal" in rule and re.match(rule["nominal"], pieces[0].text):
            pieces[0] = replace(pieces[0], text=rule["nominal_lead"] + pieces[0].text)
        return pieces

    def _trim(self, text: str) -> str:
        """Drop marks at the ends, which joining adds, and doubled commas, unless they may stand in a quotation."""
        trimmed = text.strip().lstrip(self.sheet.marks["list"].strip() + "，,").rstrip(self.sheet.marks["trim"])
        return trimmed if quoted(trimmed) else _DOUBLED.sub("", trimmed)

    # Looked-up words

    def _items(self, field: str) -> tuple[Term | BriefWords, ...]:
        items = self.brief.picked.get(field, ())
        if field == "image_use" and not items and self.frame.keyframe:
            return (self.lexicon.terms[self.sheet.keyframe_use],)
        if field == "quality":
            return items[: self.sheet.rule(field).get("max")]
        return items

    def _picked(self, field: str) -> list[Phrase]:
        rule = self.sheet.rule(field)
        pieces = _shared([self._pick(field, item) for item in self._items(field)], rule)
        if "lead" in rule:
            pieces = _led(pieces)
        if pieces and "wrap_all" in rule:
            return [Phrase(field, rule["wrap_all"].format(text=self._list([piece.text for piece in pieces])))]
        if pieces and "wrap" in rule and (isinstance(self._items(field)[0], Term) or han(pieces[0].text)):
            head, comma, rest = pieces[0].text.partition(self.sheet.marks["piece"])
            pieces[0] = replace(pieces[0], text=rule["wrap"].format(text=head) + comma + rest)
        return pieces

    def _pick(self, field: str, item: Term | BriefWords) -> Phrase:
        rule = self.sheet.rule(field)
        if isinstance(item, BriefWords):
            text = self._trim(item.get(self.sheet.language) or item.all)
            return Phrase(field, _fitted(text, rule), own=True, opening=rule.get("lead", ""))
        text, own = self._worded(item, rule)
        said = (item.wording(self.sheet.wording["name"]), text) if rule.get("said") else ()
        opening = "" if item.bare else rule.get("lead") or ("" if own and not han(text) else rule.get("opening", ""))
        return Phrase(field, text, opening=opening, said=said)

    def _worded(self, term: Term, rule: Mapping[str, Any]) -> tuple[str, bool]:
        """The wording of a term, and whether it is the caller's own: as given, fuller only by id or when asked for."""
        form = self.sheet.wording["clause" if self.frame.people else "object"]
        full, given = term.wording(form), self.brief.given.get(term.id)
        if given is None:
            return full, False
        plain = self._plain(term, given, form)
        own = plain is None
        if plain is None:
            plain = _fitted(self._trim(given.get(self.sheet.language) or given.all), rule)
        if (self.brief.enrich or rule.get("full")) and plain != full:
            self.enriched.append(f"{given.all} → {full}")
            return full, False
        return plain, own

    def _plain(self, term: Term, given: BriefWords, form: str) -> str | None:
        """The lexicon's plain wording where it says just what was given; None where only the given words do."""
        head = term.wording(form).partition(self.sheet.marks["piece"].strip())[0]
        figures = re.search(r"\d", given.all)
        own = given.get(self.sheet.language)
        if figures:
            return head if all(part in head for part in re.findall(r"\d+", given.all)) else None
        plain = term.plainly(form)
        return plain if own is None or _within(own, plain, self.sheet.rule("looks").get("fillers", ())) else None

    @property
    def findings(self) -> tuple[PromptFinding, ...]:
        """Findings for words that were expanded."""
        return (finding("ENRICHED", items=list(self.enriched)),) if self.enriched else ()

    # Composed slots

    def _references(self) -> list[Phrase]:
        taken: dict[str, list[str]] = {}
        for reference in self.brief.references:
            take = self.say(reference.take, f"brief.references[{reference.n - 1}]") if reference.take.all else ""
            if take:
                taken.setdefault(take, []).append(self.sheet.forms["image"].format(n=reference.n))
        form = self.sheet.forms["reference"]
        return [
            Phrase("references", form.format(take=take, images=self._list(images)), own=True)
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
        name = look.get(self.sheet.language) or look.all if isinstance(look, BriefWords) else ""
        if isinstance(look, Term):
            given = self.brief.given.get(look.id)
            name = (given and given.get(self.sheet.language)) or look.wording(self.sheet.wording["name"])
        form = self.sheet.forms["text" if name else "text_plain"]
        sentence = form.format(where=where, content=item.content.translate(_INNER_QUOTES), type=name)
        return sentence.strip() if where else sentence.replace("  ", " ").strip()

    def _group(self) -> list[Phrase]:
        if not self.frame.count:
            return []
        link = [self._own("group", self.brief.link)] if self.brief.link else []
        return [Phrase("group", self.sheet.forms["group"].format(count=self.frame.count), own=True), *link]

    def _frames(self) -> list[Phrase]:
        texts = [self.say(words, f"brief.group.items[{place}]") for place, words in enumerate(self.brief.frames)]
        frames = [self.sheet.forms["frame"].format(n=place, text=text) for place, text in enumerate(texts, 1)]
        return [Phrase("frames", frame, own=True) for frame in frames]

    def _ratio(self) -> list[Phrase]:
        if not self.frame.ratio:
            return []
        shape = orientation(self.frame.ratio)
        return [Phrase("ratio", self.sheet.forms[shape].format(ratio=self.frame.ratio))] if shape else []

    def _avoid(self) -> list[Phrase]:
        return [Phrase("avoid", self.say(words, "brief.avoid")) for words in self.frame.positive]

    def _must_keep(self) -> list[Phrase]:
        items = [self.say(words, "brief.must_keep") for words in self.brief.must_keep]
        return (
            [Phrase("must_keep", self.sheet.forms["keep"].format(items=self._list(items)), own=True)] if items else []
        )

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


def _shared(pieces: list[Phrase], rule: Mapping[str, Any]) -> list[Phrase]:
    """Neighbours that begin and end alike share the common words: 赛博朋克与蒸汽朋克风格."""
    shared = rule.get("shared")
    if not shared:
        return pieces
    head, tail = shared.get("head", ""), shared.get("tail", "")
    merged: list[Phrase] = []
    for piece in pieces:
        last = merged[-1] if merged else None
        if last and all(_framed(text, head, tail) for text in (last.text, piece.text)):
            body = last.text[: len(last.text) - len(tail)] + shared["glue"] + piece.text[len(head) :]
            merged[-1] = replace(last, text=body)
        else:
            merged.append(piece)
    return merged


def _fitted(text: str, rule: Mapping[str, Any]) -> str:
    """The caller's words in the slot's form where they need it to read as part of a sentence."""
    way = next((way for way in rule.get("ways", ()) if re.search(way["match"], text)), None)
    if way:
        return str(way["form"]).format(text=text)
    bare = "free" not in rule or re.search(rule.get("free_unless", r"(?!)"), text, re.IGNORECASE)
    if bare or not re.search(rule.get("free_if", ""), text, re.IGNORECASE):
        return text
    form: str = rule["free"]
    return form.format(text=text)


def _within(word: str, wording: str, fillers: Sequence[str]) -> bool:
    """Whether a wording says the word as given and, in English, adds nothing but words such as light or shot."""
    if han(word):
        return word in wording
    given = word.casefold().split()
    return set(given) <= set(wording.casefold().split()) <= {*given, *fillers}


def _led(pieces: list[Phrase]) -> list[Phrase]:
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
