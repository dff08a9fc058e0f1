"""The lead of a prompt: who is there, doing what and where, in whole sentences, each person with their own words.

In: the brief's subject, subjects, action and setting in the words of a sheet. Out: slot → pieces. How a language words
them is data in the sheet. Never in here: the look, the order of sentences.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from seedframe.prompting.brief import Brief, BriefWords, Subject
from seedframe.prompting.piece import Phrase
from seedframe.prompting.places import placed
from seedframe.prompting.scene import kind_of, number_word, position_of
from seedframe.prompting.style_sheet import Sheet

Say = Callable[[BriefWords, str], str]
Slots = dict[str, list[Phrase]]


def lead_slots(brief: Brief, sheet: Sheet, say: Say, *, prompt: str) -> Slots:
    """The slots subject, action, together, cast, place and setting; `prompt` is the free text that goes before them."""
    said = {field: say(words, f"brief.{field}") for field, words in brief.free.items()}
    subject, action, setting = (said.get(field, "") for field in ("subject", "action", "setting"))
    where = _where(
        setting, sheet, brief, lead="" if prompt else subject or action or ("several" if brief.subjects else "")
    )
    several, plain = _several(brief, sheet, say, at="place" in where and not subject)
    cast: Slots = {}
    apart = bool(several) and not subject and not plain
    if subject and several:
        cast = {"cast": [Phrase("cast", several, own=True)]}
    elif apart:
        subject, action, cast = _apart(several, action, brief, sheet)
    elif several:
        subject = several
    if apart and not sheet.fronted:
        where = {"place": [replace(piece, slot="place", bind=None) for piece in where["setting"]]}
    if not subject:
        return {"action": [Phrase("action", action, own=True)], **where}
    idle = not (action or apart or prompt)
    bind = "" if apart and sheet.fronted and "place" in where and _idle(brief.subjects[0]) else None
    lead = _present(subject, sheet, at="place" in where) if idle else Phrase("subject", subject, own=True, bind=bind)
    return {"subject": [lead], "action": _bound("action", action, sheet), **cast, **where}


def _apart(several: str, action: str, brief: Brief, sheet: Sheet) -> tuple[str, str, Slots]:
    """Subjects described one by one, and what they do together behind them or in a sentence of its own."""
    together = _together(action, brief, sheet)
    joint = sheet.rule("subject").get("together_joined")
    if joint and together:
        return f"{several}{joint}{together}", "", {}
    return several, "", {"together": [Phrase("together", together, own=True)]}


def _bound(slot: str, text: str, sheet: Sheet) -> list[Phrase]:
    rule = sheet.rule(slot)
    bound = "bind" in rule and re.match(rule["bind"], text)
    return [Phrase(slot, text, own=True, bind=rule.get("bind_glue", "") if bound else None)]


# Where


def _where(setting: str, sheet: Sheet, brief: Brief, *, lead: str) -> Slots:
    """The setting: a place in the lead sentence where it can be one, a sentence of its own where it cannot."""
    rule = sheet.rule("setting")
    own_lead = brief.setting_lead
    if not setting or own_lead or not lead or "place" not in rule:
        return {"setting": _scene(setting, sheet, own_lead)}
    found = placed(setting, rule["place"])
    if not found:
        return {"setting": _scene(setting, sheet, own_lead)}
    place, rest = found
    if not sheet.fronted:
        phrase = f"{place}{sheet.marks['piece']}{rest}" if rest else place
        return {"setting": _bound("setting", phrase, sheet)}
    return {"place": [Phrase("place", place, own=True)], "setting": [Phrase("setting", _rest(rest, rule), own=True)]}


def _rest(text: str, rule: Mapping[str, Any]) -> str:
    """What follows the place, a sentence of its own even where it only names things."""
    return text if not text or re.search(rule["rest_clause"], text) else rule["rest_lead"] + text


def _scene(text: str, sheet: Sheet, own_lead: BriefWords | None) -> list[Phrase]:
    rule = sheet.rule("setting")
    first = text.partition(sheet.marks["piece"].strip())[0]
    lead = rule.get("lead_backdrop" if re.search(rule.get("backdrop", r"(?!)"), first) else "lead", "")
    if own_lead:
        lead = own_lead.get(sheet.language) or ""
    elif lead and re.match(rule["lead_unless"], text):
        lead = ""
    (piece,) = _bound("setting", text, sheet)
    return [Phrase("setting", lead + text if text else "", own=True, bind=piece.bind)]


# Who


def _present(text: str, sheet: Sheet, *, at: bool) -> Phrase:
    """A subject without an action still gets a verb: it is at the place, or it is what the picture shows."""
    rule = sheet.rule("subject")
    if not text or "present" not in rule:
        return Phrase("subject", text, own=True)
    kind = kind_of(text)
    if at:
        verb = next(way["verb"] for way in rule["present"] if _is_way(way, kind, text))
        return Phrase("subject", verb + text, own=True, bind="")
    form: str = rule["alone"].get(kind, rule["alone"][""])
    return Phrase("subject", text if re.search(rule["alone_unless"], text) else form.format(text=text), own=True)


def _is_way(way: Mapping[str, Any], kind: str, text: str) -> bool:
    return kind in way.get("kinds", (kind,)) and re.match(way.get("match", ""), text) is not None


def _several(brief: Brief, sheet: Sheet, say: Say, *, at: bool) -> tuple[str, bool]:
    """Each of several subjects with its place, name, looks and doing, never mixed with another's; plain when short."""
    rule = sheet.rule("subject")
    sentences = [_one(subject, place, sheet, say) for place, subject in enumerate(brief.subjects)]
    idle = [_idle(subject) for subject in brief.subjects]
    if sentences and all(idle) and not any(sheet.marks["piece"].strip() in text for text in sentences):
        *most, last = sentences
        return str(rule["several_plain"]).join(filter(None, [sheet.marks["list"].join(most), last])), True
    first = rule.get("first_idle_at", rule["first_idle"]) if at else rule["first_idle"]
    forms = [(rule["idle"] if place else first) if rests else "{text}" for place, rests in enumerate(idle)]
    return str(rule["several"]).join(form.format(text=text) for form, text in zip(forms, sentences, strict=True)), False


def _idle(subject: Subject) -> bool:
    """Nothing but its looks is described."""
    return not (subject.name or subject.position or subject.action)


def _one(subject: Subject, place: int, sheet: Sheet, say: Say) -> str:
    field = f"brief.subjects[{place}]"
    known = position_of(subject.position.all) if subject.position else None
    own = say(subject.position, f"{field}.position") if subject.position and not known else ""
    position = known[sheet.language] if known else own
    name = (subject.name.get(sheet.language) or subject.name.all) if subject.name else ""
    parts = ("other" if position and not known else "", "name" if name else "", "position" if position else "")
    form: str = sheet.rule("subject")["forms"]["_".join(filter(None, parts))]
    text = form.format(position=position, name=name, text=say(subject.text, f"{field}.text"))
    action = say(subject.action, f"{field}.action") if subject.action else ""
    alone = not (name or position) and sheet.marks["piece"].strip() not in text
    return text + (_glue(action, sheet) if alone else sheet.marks["piece"]) + action if action else text


def _glue(action: str, sheet: Sheet) -> str:
    rule = sheet.rule("action")
    return str(rule.get("bind_glue", "")) if re.match(rule["bind"], action) else sheet.marks["piece"]


def _together(action: str, brief: Brief, sheet: Sheet) -> str:
    """What several subjects do together, with those who do it."""
    rule = sheet.rule("subject")
    if not action or re.search(rule["together_unless"], action):
        return action
    kinds = {subject.kind or kind_of(subject.text.all) for subject in brief.subjects}
    count = sum(subject.count or 1 for subject in brief.subjects)
    form: str = rule["together"].get(kinds.pop() if len(kinds) == 1 else "", rule["together"][""])
    return form.format(count=number_word(count, sheet.language), text=action)
