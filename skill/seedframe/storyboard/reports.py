"""Plans, states and events as people and models read them: short lines first, the whole as JSON.

In: a BoardPlan, a BoardState, an Event. Out: lines in one language, compact JSON. Never in here: a terminal, MCP.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from typing import Any

from seedframe.messages import Language, Message
from seedframe.storyboard.board_plan import BoardPlan, FramePlan
from seedframe.storyboard.findings import BoardFinding
from seedframe.storyboard.handoff.request_file import WrittenRequests
from seedframe.storyboard.record.state import BoardState, FrameState, State

MOST_LINES = 40
"""The most frames a summary lists one by one; the rest is counted."""

STATES: tuple[State, ...] = ("done", "waiting", "running", "failed", "unknown", "lost", "cancelled")
PROMPT_SHOWN = 60


def plan_lines(plan: BoardPlan, language: Language, *, prompts: bool = False) -> Iterator[str]:
    """The table of frames, the findings, and the totals."""
    width = max(len(frame.task.key) for frame in plan.frames)
    for frame in plan.frames:
        yield from _frame_lines(frame, width, prompts=prompts)
    yield from finding_lines(plan.all_findings(), language)
    yield total_line(plan, language)
    if plan.blocked:
        yield Message("boards.plan-blocked", count=len(plan.blocked)).text(language)


def total_line(plan: BoardPlan, language: Language) -> str:
    """Shots, frames, waves, money, time: one sentence."""
    low, high = (duration(seconds).text(language) for seconds in (plan.seconds.low, plan.seconds.high))
    return Message(
        "boards.plan-total",
        shots=len(plan.board.shots),
        frames=len(plan.frames),
        waves=len(plan.waves),
        cost=money(plan.cost, unpriced=plan.unpriced),
        low=low,
        high=high,
    ).text(language)


def finding_lines(findings: Iterable[BoardFinding], language: Language) -> Iterator[str]:
    """What was noticed, in words; shots that share a finding share its line."""
    places: dict[tuple[str, str, Message], list[str]] = {}
    for finding in findings:
        places.setdefault((finding.severity, finding.code, finding.message), []).append(finding.shot or "")
    for (severity, code, message), shots in places.items():
        where = ", ".join(dict.fromkeys(shot for shot in shots if shot))
        line = f"{message.text(language)} ({where})" if where else message.text(language)
        yield f"{Message(f'boards.severity-{severity}').text(language)} {code}: {line}"


def plan_facts(plan: BoardPlan, language: Language) -> dict[str, Any]:
    """A plan small enough for a model: totals, findings once, the frames as far as they fit."""
    shown = plan.frames[:MOST_LINES]
    return {
        "status": "blocked" if plan.blocked else "planned",
        "project": plan.board.project,
        "backend": plan.backend,
        "totals": plan.totals(),
        "findings": list(finding_lines(plan.all_findings(), language))[:MOST_LINES],
        "frames": [_frame_facts(frame) for frame in shown],
        **({"left_out": len(plan.frames) - len(shown)} if len(shown) < len(plan.frames) else {}),
    }


def requests_line(written: WrittenRequests, language: Language) -> str:
    """How many shots can be sent, and where their requests are."""
    if written.path is None:
        return Message("handoff.nothing").text(language)
    total = len(written.lines) + len(written.left_out)
    return Message("handoff.written", count=len(written.lines), total=total, path=written.path).text(language)


def state_lines(state: BoardState, language: Language) -> Iterator[str]:
    """The progress of a board: counts, money, and each frame that needs attention."""
    yield headline(state).text(language)
    if state.stopped:
        yield state.stopped.get(language) or next(iter(state.stopped.values()), "")
    troubled = [frame for frame in state.frames if frame.state in ("failed", "unknown", "lost")]
    for frame in troubled[:MOST_LINES]:
        yield f"{_state(frame.state).text(language)} {frame.task}: {_why(frame, language)}"
    if len(troubled) > MOST_LINES:
        yield Message("boards.more", count=len(troubled) - MOST_LINES).text(language)
    if state.count("failed") or state.count("unknown"):
        yield Message("boards.retry-advice", out=state.out).text(language)
    if state.count("lost"):
        yield Message("board_truth.lost-advice", out=state.out).text(language)
    stale = [frame.task for frame in state.frames if frame.stale]
    if stale:
        yield Message("board_truth.stale-line", count=len(stale), frames=stale[:MOST_LINES], out=state.out).text(
            language
        )
    for path in (state.manifest, state.sheet):
        if path is not None:
            yield str(path)


def headline(state: BoardState) -> Message:
    """One line: done of total, the other states, what was spent."""
    counts = Counter(frame.state for frame in state.frames)
    others = [Message("boards.counted", count=counts[name], state=_state(name)) for name in STATES[1:] if counts[name]]
    return Message(
        "boards.state-others" if others else "boards.state",
        project=state.project,
        done=counts["done"],
        total=len(state.frames),
        others=others,
        spent=f"{state.spent.normalize():f}",
        budget="" if state.budget is None else f" / {state.budget:f}",
        currency=state.currency or "",
    )


def state_facts(state: BoardState, language: Language) -> dict[str, Any]:
    """A state small enough for a model: counts, and the frames that are not simply done or waiting."""
    described = state.as_json()
    notable = [frame for frame in state.frames if frame.state in ("failed", "unknown", "lost", "running")]
    done = [frame for frame in state.frames if frame.state == "done"]
    shown = [*notable, *done][:MOST_LINES]
    frames = [
        {
            "key": frame.task,
            "state": frame.state,
            **({"path": str(frame.path)} if frame.path else {}),
            **({"error": _why(frame, language)} if frame.error else {}),
        }
        for frame in shown
    ]
    return {**{name: value for name, value in described.items() if name != "frames"}, "frames": frames}


def money(cost: Mapping[str, Decimal], *, unpriced: int = 0) -> str:
    """`3.74 CNY`, sums of several currencies side by side, a question mark for what has no price."""
    sums = [f"{amount.normalize():f} {currency}" for currency, amount in sorted(cost.items())]
    return " + ".join([*sums, *(["?"] if unpriced else [])]) or "0"


def duration(seconds: float) -> Message:
    """A duration in seconds, minutes or hours, whichever reads best."""
    for key, size in (("hours", 3600), ("minutes", 120)):
        if seconds >= size:
            return Message(f"boards.{key}", number=f"{seconds / (3600 if key == 'hours' else 60):.1f}")
    return Message("boards.seconds", number=max(1, round(seconds)))


def _frame_lines(frame: FramePlan, width: int, *, prompts: bool) -> Iterator[str]:
    price = "–" if frame.price is None else str(frame.price)
    words = frame.prompt or ""
    short = words if len(words) <= PROMPT_SHOWN else f"{words[:PROMPT_SHOWN]}…"
    references = f" ← {len(frame.task.references)}" if frame.task.references else ""
    mark = "✕" if frame.blocked else str(frame.wave)
    head = f"{mark:>3} {frame.task.key:<{width}}  {frame.size or '–':>9}  {price:>9}  {frame.model or '–':<9}"
    if not prompts:
        yield f"{head} {short}{references}"
        return
    yield f"{head}{references}"
    yield f"      {words}"
    if frame.negative:
        yield f"      – {frame.negative}"


def _frame_facts(frame: FramePlan) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "key": frame.task.key,
        "wave": frame.wave,
        "size": frame.size,
        "price": None if frame.price is None else str(frame.price),
        "prompt": frame.prompt,
    }
    if frame.task.references:
        facts["references"] = [reference.frame or reference.path for reference in frame.task.references]
    if frame.blocked:
        facts["blocked"] = True
    return facts


def _state(name: State) -> Message:
    return Message(f"boards.state-{name}")


def _why(frame: FrameState, language: Language) -> str:
    texts = frame.error or {}
    return texts.get(language) or next(iter(texts.values()), "")
