"""The styler: reads the input, words the prompt, adds the negative prompt and checks both.

Start reading here. In: a `PromptInput`. Out: a `StyledPrompt`, or PromptRejected when it must not be paid for.
Never in here: rules, words.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import reduce

from seedframe.errors import PromptRejected
from seedframe.messages import Message
from seedframe.prompting import rules_call, rules_marks, rules_terms, rules_wording, text_analysis
from seedframe.prompting.assembly import fitted, measured
from seedframe.prompting.brief import Brief, BriefWords, read_brief
from seedframe.prompting.brief_language import spoken_sheet
from seedframe.prompting.language import text_language, without_quoted
from seedframe.prompting.lexicon import Term, lexicon
from seedframe.prompting.lint_context import LintContext
from seedframe.prompting.lint_data import finding, order, rule_table, strict
from seedframe.prompting.negative import Exclusion, Negative, decided
from seedframe.prompting.pieces import Frame, Wording
from seedframe.prompting.scene import SceneContent, scene_of
from seedframe.prompting.style_sheet import Sheet, sheet
from seedframe.prompting.types import HostTask, PromptFinding, PromptInput, StyledPrompt

_NOTHING = Brief(free={}, picked={})
_ENDS = tuple("。.！？!?…")


def style(prompt_input: PromptInput) -> StyledPrompt:
    """The prompt to send, with all findings. Pure: the same input gives the same bytes.

    A free text alone stays as it is, except for a sentence that asks for the related set, and positive wordings of a
    negative prompt that its model would ignore. InvalidRequest when the brief is not one.
    """
    words, sheet_ = lexicon(), sheet(prompt_input.sheet)
    brief = (
        _NOTHING if prompt_input.brief is None or prompt_input.brief == {} else read_brief(prompt_input.brief, words)
    )
    text = "\n".join((prompt_input.prompt or "", *brief.own_words(sheet_.language)))
    terms = tuple(dict.fromkeys((*brief.terms, *(words.terms[name] for name in words.found(text)))))
    scene = scene_of(brief, text, terms, words, edit=prompt_input.edit)
    negative = decided(
        Exclusion(prompt_input.negative, brief.avoid, prompt_input.negative_supported, scene, sheet_, words)
    )
    worded, dropped, tasks, said = _worded(prompt_input, brief, sheet_, scene, negative)
    prompt = _with_set(worded, prompt_input)
    case = LintContext(
        prompt_input=prompt_input,
        sheet=sheet_,
        lexicon=words,
        prompt=prompt,
        bare=without_quoted(prompt),
        counts=measured(prompt),
        scene=scene,
        picked=brief.terms,
        terms=terms,
        has_content=bool((prompt_input.prompt or "").strip()) or brief.has_content,
        set_size=prompt_input.group or brief.count,
        text_language=text_language(prompt),
        keyframe=_keyframe(prompt_input, brief, sheet_),
    )
    left_out = (*said, *_limited(brief, sheet_), *_dropped(dropped), *_left_out(case, tasks, negative.tasks))
    noticed = (*brief.findings, *negative.findings, *left_out, *_added(worded, prompt), *_ruled(case))
    return StyledPrompt(
        prompt=prompt,
        negative=negative.send,
        findings=_in_order(noticed, strictly=prompt_input.strict),
        needs_host=(*tasks, *negative.tasks),
        counts=case.counts,
        dropped=dropped,
        people=scene.people,
        realistic=_realistic(terms, text),
        keyframe=case.keyframe,
    )


def check_style(styled: StyledPrompt, *, force: bool = False) -> None:
    """PromptRejected when there is an error that is not forced."""
    if force or not styled.errors:
        return
    mends = [error.mend for error in styled.errors if error.mend]
    raise PromptRejected(
        Message("styling.rejected", what=_together([error.message for error in styled.errors])),
        advice=Message(
            "styling.rejected-force", mend=Message("styling.rejected-mend", mends=_together(mends)) if mends else ""
        ),
        findings=styled.findings,
        needs_host=styled.needs_host,
    )


def _together(messages: Sequence[Message]) -> Message:
    """Several sentences as one message."""
    return reduce(lambda first, second: Message("styling.and-then", first=first, second=second), messages)


def _worded(
    prompt_input: PromptInput, brief: Brief, sheet_: Sheet, scene: SceneContent, negative: Negative
) -> tuple[str, tuple[str, ...], tuple[HostTask, ...], tuple[PromptFinding, ...]]:
    own = prompt_input.prompt or ""
    foreign = text_language(own) not in (None, sheet_.language) and not prompt_input.as_is
    tasks = (_translation("prompt", own, sheet_),) if foreign else ()
    if brief is _NOTHING:
        return _with_positive_wordings(own, negative.positive), (), tasks, ()
    asked = prompt_input.group or brief.count
    frame = Frame(
        prompt=own,
        ratio=prompt_input.ratio,
        count=None if text_analysis.asks_set(without_quoted(own)) else asked,
        keyframe=prompt_input.keyframe,
        people=scene.people,
        as_is=prompt_input.as_is,
        want=sheet_.language,
        positive=negative.positive,
    )
    speech = spoken_sheet(brief, own, sheet_)
    wording = Wording(brief, speech, lexicon(), frame)
    prompt, dropped = fitted(wording.slots(), speech)
    return prompt, dropped, (*tasks, *wording.tasks), wording.findings


def _with_set(prompt: str, prompt_input: PromptInput) -> str:
    """The prompt with a sentence that asks for the set, where a set is wanted and no word or number asks for one."""
    if (
        not prompt_input.group
        or not prompt_input.groups_supported
        or not prompt.strip()
        or text_analysis.asks_set(without_quoted(prompt))
    ):
        return prompt
    language = "zh" if text_language(prompt) == "zh" else "en"
    sentence: str = rule_table()["set_sentence"][language].format(count=prompt_input.group)
    body = prompt.rstrip()
    if language == "zh":
        return body + ("" if body.endswith(_ENDS) else "。") + sentence + "。"
    return body + (" " if body.endswith(_ENDS) else ". ") + sentence + "."


def _keyframe(prompt_input: PromptInput, brief: Brief, sheet_: Sheet) -> bool:
    """Whether the picture is one frame of a video: the call, the brief's use or the words say so."""
    used = any(term.id == sheet_.keyframe_use for term in brief.terms)
    return prompt_input.keyframe or used or text_analysis.keyframe(without_quoted(prompt_input.prompt or ""))


def _translation(field: str, text: str, sheet_: Sheet) -> HostTask:
    language = Message(f"styling.language-{sheet_.language}")
    message = Message("styling.host-write", field=field, language=language, text=text)
    return HostTask(field, sheet_.language, text, message)


def _with_positive_wordings(text: str, inputs: tuple[BriefWords, ...]) -> str:
    """A free text followed by the positive wordings it does not contain yet."""
    if not text.strip():
        return text
    zh = text_language(text) == "zh"
    wordings = [words.zh if zh else words.en for words in inputs]
    new = [wording for wording in wordings if wording and wording not in text]
    if not new:
        return text
    body = text.rstrip()
    if zh:
        return body + ("" if body.endswith(_ENDS) else "。") + "，".join(new) + "。"
    return body.rstrip(" .,;") + ", " + ", ".join(new)


def _limited(brief: Brief, sheet_: Sheet) -> Iterator[PromptFinding]:
    most = sheet_.rule("quality").get("max")
    given = brief.picked.get("quality", ())
    if most is not None and len(given) > most:
        left = [item.wording(sheet_.wording["name"]) if isinstance(item, Term) else item.all for item in given[most:]]
        yield finding("QUALITY_LIMIT", limit=most, items=left)


def _dropped(slots: tuple[str, ...]) -> Iterator[PromptFinding]:
    if slots:
        yield finding("DROPPED", items=list(slots))


def _added(before: str, prompt: str) -> Iterator[PromptFinding]:
    """The sentence by which the prompt was completed."""
    if prompt != before:
        yield finding("GROUP_TRIGGER", added=prompt[len(before.rstrip()) :].strip(" 。."))


def _left_out(case: LintContext, tasks: tuple[HostTask, ...], banned: tuple[HostTask, ...]) -> Iterator[PromptFinding]:
    """Fields in the other language within a prompt that otherwise is in the model's, and what could not be sent."""
    if tasks and not case.foreign:
        language = Message(f"styling.language-{case.sheet.language}")
        yield finding(
            "LANG_PART", items=[task.field for task in tasks], language=language, model=case.prompt_input.model
        )
    if banned:
        yield finding("NEG_LEFT", items=[task.text for task in banned])


def _in_order(findings: Iterable[PromptFinding], *, strictly: bool) -> tuple[PromptFinding, ...]:
    """Each finding once, in the order of the data."""
    unique = dict.fromkeys(map(strict, findings) if strictly else findings)
    return tuple(sorted(unique, key=lambda found: order()[found.code]))


def _ruled(case: LintContext) -> Iterator[PromptFinding]:
    for rule in (*rules_wording.RULES, *rules_call.RULES, *rules_marks.RULES, *rules_terms.RULES):
        yield from rule(case)


def _realistic(terms: tuple[Term, ...], text: str) -> bool:
    """Nothing asks for a drawn look, or something asks for a photograph all the same."""
    looks = {term.look for term in terms}
    return "photo" in looks or not ("drawn" in looks or text_analysis.drawn(without_quoted(text)))
