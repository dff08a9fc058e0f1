"""The styling room itself: a wish is read, worded, given its negative, and looked over.

START HERE. In: a `Wish`. Out: a `Styled`, or PromptRejected when it must not be paid for. Never in here: rules, words.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import reduce

from seedframe.errors import PromptRejected
from seedframe.messages import Message
from seedframe.styling import reading, rules_call, rules_terms, rules_wording
from seedframe.styling.assembly import fitted, measured
from seedframe.styling.brief import Brief, Words, read_brief
from seedframe.styling.case import Case
from seedframe.styling.language import han, han_share, hollow
from seedframe.styling.lexicon import Term, lexicon
from seedframe.styling.negative import Ban, Negative, decided
from seedframe.styling.notes import finding, limits, order
from seedframe.styling.pieces import Frame, Wording
from seedframe.styling.scene import Scene, scene_of
from seedframe.styling.sheet import Sheet, sheet
from seedframe.styling.spoken import spoken_sheet
from seedframe.styling.values import Finding, HostTask, Styled, Wish

_NOTHING = Brief(free={}, picked={})


def style(wish: Wish) -> Styled:
    """The prompt to send for a wish, with everything noticed. Pure: the same wish gives the same bytes.

    A free text alone stays as it is, but for positive wordings of a negative its model would ignore. InvalidRequest
    when the brief is not one.
    """
    words, sheet_ = lexicon(), sheet(wish.sheet)
    brief = _NOTHING if wish.brief is None or wish.brief == {} else read_brief(wish.brief, words)
    text = "\n".join((wish.prompt or "", *brief.own_words(sheet_.language)))
    terms = tuple(dict.fromkeys((*brief.terms, *(words.terms[name] for name in words.found(text)))))
    scene = scene_of(brief, text, terms, words, edit=wish.edit)
    negative = decided(Ban(wish.negative, brief.avoid, wish.negative_supported, scene, sheet_, words))
    prompt, dropped, tasks, worded = _worded(wish, brief, sheet_, scene, negative)
    case = Case(
        wish=wish,
        sheet=sheet_,
        lexicon=words,
        prompt=prompt,
        bare=hollow(prompt),
        counts=measured(prompt),
        scene=scene,
        picked=brief.terms,
        terms=terms,
        told=bool((wish.prompt or "").strip()) or brief.has_content,
        set_size=wish.group or brief.count,
    )
    noticed = (*brief.findings, *worded, *_limited(brief, sheet_), *_dropped(dropped))
    findings = (*noticed, *negative.findings, *_ruled(case))
    return Styled(
        prompt=prompt,
        negative=negative.send,
        findings=tuple(sorted(dict.fromkeys(findings), key=lambda found: order()[found.code])),
        needs_host=(*tasks, *negative.tasks),
        counts=case.counts,
        dropped=dropped,
        people=scene.people,
        realistic=_realistic(terms, text),
    )


def check_style(styled: Styled, *, force: bool = False) -> None:
    """PromptRejected when words are missing that only the host can write, or an error stands and is not forced."""
    errors = () if force else styled.errors
    if not errors and not styled.needs_host:
        return
    facts = styled.as_dict()
    told = [*(task.message for task in styled.needs_host), *(error.message for error in errors)]
    mends = [error.mend for error in errors if error.mend]
    advice = Message("styling.rejected-mend", mends=_together(mends)) if mends else None
    raise PromptRejected(
        Message("styling.rejected", what=_together(told)),
        advice=advice if styled.needs_host else Message("styling.rejected-force", mend=advice or ""),
        facts={"findings": facts["findings"], "needs_host": facts["needs_host"]},
    )


def _together(messages: Sequence[Message]) -> Message:
    """Sentences one after the other, as one message."""
    return reduce(lambda first, second: Message("styling.and-then", first=first, second=second), messages)


def _worded(
    wish: Wish, brief: Brief, sheet_: Sheet, scene: Scene, negative: Negative
) -> tuple[str, tuple[str, ...], tuple[HostTask, ...], tuple[Finding, ...]]:
    own = wish.prompt or ""
    foreign = _foreign(own, sheet_) and not wish.as_is
    tasks = (_translation("prompt", own, sheet_),) if foreign else ()
    if brief is _NOTHING:
        return _with_wishes(own, negative.positive, sheet_), (), tasks, ()
    asked = wish.group or brief.count
    frame = Frame(
        prompt=own,
        ratio=wish.ratio,
        count=None if reading.set_asked(hollow(own)) else asked,
        keyframe=wish.keyframe,
        people=scene.people,
        as_is=wish.as_is,
        want=sheet_.language,
        positive=negative.positive,
    )
    spoken = spoken_sheet(brief, own, sheet_)
    wording = Wording(brief, spoken, lexicon(), frame)
    prompt, dropped = fitted(wording.slots(), spoken)
    return prompt, dropped, (*tasks, *wording.tasks), wording.findings


def _foreign(text: str, sheet_: Sheet) -> bool:
    if sheet_.language == "zh":
        return han_share(text) < float(limits("LANG_5")["below"])
    return han(hollow(text)) > 0


def _translation(field: str, text: str, sheet_: Sheet) -> HostTask:
    language = Message(f"styling.language-{sheet_.language}")
    message = Message("styling.host-write", field=field, language=language, text=text)
    return HostTask(field, sheet_.language, text, message)


def _with_wishes(text: str, wishes: tuple[Words, ...], sheet_: Sheet) -> str:
    """A free text followed by the positive wishes it does not hold yet."""
    if not text.strip():
        return text
    zh = han_share(text) >= limits("LANG_5")["below"]
    told = [words.zh if zh else words.en for words in wishes]
    new = [wish for wish in told if wish and wish not in text]
    if not new:
        return text
    body = text.rstrip()
    if zh:
        return body + ("" if body.endswith(tuple("。！？!?…")) else "。") + "，".join(new) + "。"
    return body.rstrip(" .,;") + ", " + ", ".join(new)


def _limited(brief: Brief, sheet_: Sheet) -> Iterator[Finding]:
    most = sheet_.rule("quality").get("max")
    given = brief.picked.get("quality", ())
    if most is not None and len(given) > most:
        left = [item.wording(sheet_.wording["name"]) if isinstance(item, Term) else item.all for item in given[most:]]
        yield finding("QUALITY_LIMIT", limit=most, items=left)


def _dropped(slots: tuple[str, ...]) -> Iterator[Finding]:
    if slots:
        yield finding("DROPPED", items=list(slots))


def _ruled(case: Case) -> Iterator[Finding]:
    for rule in (*rules_wording.RULES, *rules_call.RULES, *rules_terms.RULES):
        yield from rule(case)


def _realistic(terms: tuple[Term, ...], text: str) -> bool:
    """Nothing asks for a drawn look, or something asks for a photograph all the same."""
    looks = {term.look for term in terms}
    return "photo" in looks or not ("drawn" in looks or reading.drawn(hollow(text)))
