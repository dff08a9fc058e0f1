"""A board before anything is sent: every frame's prompt, size, references, price and findings.

In: a Board, settings, the catalog, the takes already picked. Out: `BoardPlan`; and for one frame, the very tool and
arguments that will make it (`arguments_of`), so that what is planned is what is run.
Never in here: a payment, a network, a picture being read, a decision to stop.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import cache, cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any

from seedframe.catalog import Catalog, Price
from seedframe.confined_files import NoFile, Outside, locate
from seedframe.errors import SeedreamError
from seedframe.messages import Message
from seedframe.package_data import data_json
from seedframe.service.reference_files import candidate
from seedframe.service.request import ImageRequest, check
from seedframe.settings import Settings
from seedframe.storyboard.continuity import Cast, ShotReference, continuity_findings, face_visible
from seedframe.storyboard.findings import BoardFinding
from seedframe.storyboard.frames import NO_PICKS, FrameTask, frames_of
from seedframe.storyboard.handoff.manifest import check_board
from seedframe.storyboard.types import Board
from seedframe.studio.plan import check_prompt, style_prompt_of

NOTHING_MADE: Mapping[str, Path] = MappingProxyType({})
FACE = "FACE_TRUST"
INLINE = ("https://", "http://", "data:", "seedframe:")
"""References that are not files on this machine."""


def arguments_of(task: FrameTask, *, made: Mapping[str, Path] = NOTHING_MADE) -> tuple[str, dict[str, Any]]:
    """The tool and the arguments that make this frame; where its file goes is left to the caller.

    `made` holds the files of the frames it depends on, by key; KeyError for one that is not there.
    """
    images = [str(made[reference.frame]) if reference.frame else str(reference.path) for reference in task.references]
    optional = {"model": task.model, "size": task.size or task.resolution, "seed": task.seed, "images": images}
    given = {name: value for name, value in optional.items() if value not in (None, [])}
    arguments = {"brief": dict(task.brief), "ratio": task.ratio, "preview": "none", **given}
    return ("edit_image" if images else "generate_image"), arguments


@dataclass(frozen=True, slots=True)
class Duration:
    """Seconds, at best and at worst."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class FramePlan:
    """One frame as it will be made. `prompt` and what follows are None when the arguments are refused.

    `wave` counts from 1: a frame waits for frames of earlier waves only. Findings of severity error mean that this
    frame cannot be made as described.
    """

    task: FrameTask
    tool: str
    wave: int
    prompt: str | None = None
    negative: str | None = None
    model: str | None = None
    size: str | None = None
    price: Price | None = None
    findings: tuple[BoardFinding, ...] = ()

    @property
    def blocked(self) -> bool:
        """Whether it cannot be made."""
        return any(finding.severity == "error" for finding in self.findings)

    def as_json(self) -> dict[str, Any]:
        """JSON-ready, findings in both languages."""
        return {
            "key": self.task.key,
            "shot": self.task.shot,
            "role": self.task.role,
            "take": self.task.take,
            "tool": self.tool,
            "wave": self.wave,
            "model": self.model,
            "size": self.size,
            "prompt": self.prompt,
            "negative": self.negative,
            "references": [_describe_reference(reference) for reference in self.task.references],
            "price": _describe_price(self.price),
            "findings": [finding.as_json() for finding in self.findings],
        }


@dataclass(frozen=True)
class BoardPlan:
    """The whole plan. `findings` are about the board and its shots; each frame has its own besides."""

    board: Board
    backend: str
    frames: tuple[FramePlan, ...]
    findings: tuple[BoardFinding, ...]
    seconds: Duration

    @cached_property
    def cost(self) -> Mapping[str, Decimal]:
        """The most it can cost, by currency. Frames without a published price are counted by `unpriced`."""
        total: dict[str, Decimal] = defaultdict(Decimal)
        for frame in self.frames:
            if frame.price and frame.price.amount is not None:
                total[frame.price.currency] += frame.price.amount
        return dict(total)

    @cached_property
    def unpriced(self) -> int:
        """How many frames have no price in the lists."""
        return sum(frame.price is not None and frame.price.amount is None for frame in self.frames)

    @cached_property
    def waves(self) -> tuple[int, ...]:
        """How many frames can be made at once, wave after wave."""
        counts = Counter(frame.wave for frame in self.frames)
        return tuple(counts[wave] for wave in sorted(counts))

    @cached_property
    def blocked(self) -> tuple[FramePlan, ...]:
        """The frames that cannot be made."""
        return tuple(frame for frame in self.frames if frame.blocked)

    def all_findings(self) -> Iterator[BoardFinding]:
        """Of the board, then of its frames; a finding that several takes share appears once."""
        yield from self.findings
        seen: set[tuple[Any, ...]] = set()
        for frame in self.frames:
            for finding in frame.findings:
                mark = (frame.task.shot, finding.code, finding.message)
                if mark not in seen:
                    seen.add(mark)
                    yield finding

    def totals(self) -> dict[str, Any]:
        """Counts, cost and time, JSON-ready."""
        severities = Counter(finding.severity for finding in self.all_findings())
        return {
            "shots": len(self.board.shots),
            "frames": len(self.frames),
            "blocked": len(self.blocked),
            "cost": [{"amount": format(amount, "f"), "currency": name} for name, amount in sorted(self.cost.items())],
            "unpriced": self.unpriced,
            "seconds": [round(self.seconds.low, 1), round(self.seconds.high, 1)],
            "waves": list(self.waves),
            "findings": {name: severities[name] for name in ("error", "warning", "info")},
        }

    def as_json(self) -> dict[str, Any]:
        """The whole plan, JSON-ready."""
        return {
            "project": self.board.project,
            "backend": self.backend,
            "totals": self.totals(),
            "findings": [finding.as_json() for finding in self.findings],
            "frames": [frame.as_json() for frame in self.frames],
        }


def plan_board(board: Board, settings: Settings, catalog: Catalog, *, picks: Mapping[str, str] = NO_PICKS) -> BoardPlan:
    """Every frame of the board, checked and worded as the run will do it. A refused frame has its reason."""
    tasks = frames_of(board, picks)
    waves = _waves(tasks)
    planner = _Planner(board, settings, catalog)
    frames = tuple(planner.frame(task, waves[task.key]) for task in tasks)
    findings = (*continuity_findings(board), *check_board(board))
    rate = settings.images_per_minute or catalog.backend(settings.backend).images_per_minute
    return BoardPlan(board, settings.backend, frames, findings, _expected(frames, settings.backend, rate))


def face_matters(cast: Cast, board: Board, task: FrameTask) -> bool:
    """Whether a finding about a realistic face, made from the words alone, stands.

    The board knows better than the words whether a face is visible, and reports references itself.
    """
    return board.realistic_people and face_visible(cast, cast.shots[task.shot]) and not task.references


@cache
def pace() -> Mapping[str, Any]:
    """How long a picture takes, as measured, with source and date."""
    content: Mapping[str, Any] = data_json("storyboard/pace.json")
    return content


class _Planner:
    """Plans frame after frame; what the takes of a frame share is computed once."""

    def __init__(self, board: Board, settings: Settings, catalog: Catalog) -> None:
        self._board = board
        self._cast = Cast.of(board)
        self._settings = replace(settings, strict_prompts=settings.strict_prompts or board.strict)
        self._catalog = catalog
        self._roots = (*settings.input_roots, settings.output_dir)
        self._missing: dict[str, Message | None] = {}
        self._last: FramePlan | None = None

    def frame(self, task: FrameTask, wave: int) -> FramePlan:
        last = self._last
        if last and (last.task.shot, last.task.role) == (task.shot, task.role):
            own = tuple(BoardFinding(f.code, f.severity, f.message, f.shot, task.key) for f in last.findings)
            planned = FramePlan(
                task, last.tool, wave, last.prompt, last.negative, last.model, last.size, last.price, own
            )
        else:
            planned = self._planned(task, wave)
        self._last = planned
        return planned

    def _planned(self, task: FrameTask, wave: int) -> FramePlan:
        unmade = {key: Path(f"{key}.jpg") for key in task.depends_on}
        tool, arguments = arguments_of(task, made=unmade)
        absent = [self._absent(reference) for reference in task.references]
        found = [BoardFinding("REFERENCE", "error", message, task.shot, task.key) for message in absent if message]
        try:
            request = check(tool, arguments, catalog=self._catalog, settings=self._settings)
            styled = style_prompt_of(request)
        except SeedreamError as error:
            return FramePlan(task, tool, wave, findings=(*found, _refusal(error, task)))
        found += [BoardFinding("REQUEST", "info", warning, task.shot, task.key) for warning in request.warnings]
        found += [
            BoardFinding(note.code, note.severity, _with_mend(note.message, note.mend), task.shot, task.key)
            for note in styled.findings
            if note.severity != "error" and (note.code != FACE or face_matters(self._cast, self._board, task))
        ]
        try:
            check_prompt(styled, request)
        except SeedreamError as error:
            found.append(_refusal(error, task))
        return FramePlan(
            task,
            tool,
            wave,
            styled.prompt,
            styled.negative if request.offer.supports("negative_prompt") else None,
            request.offer.model.name,
            _size(request),
            request.price,
            tuple(found),
        )

    def _absent(self, reference: ShotReference) -> Message | None:
        """Why the picture of a reference cannot be read; None when it can, or when it is not a file on this machine."""
        path = reference.path
        if path is None or path.startswith(INLINE):
            return None
        if path not in self._missing:
            self._missing[path] = self._unreadable(path)
        return self._missing[path]

    def _unreadable(self, path: str) -> Message | None:
        try:
            place = locate(candidate(path), self._roots)
        except Outside:
            return Message("boards.reference-outside", path=path, roots=[str(root) for root in self._roots])
        except NoFile:
            return Message("boards.reference-missing", path=path)
        return None if place.path.is_file() else Message("boards.reference-missing", path=path)


def _refusal(error: SeedreamError, task: FrameTask) -> BoardFinding:
    return BoardFinding(type(error).__name__, "error", _with_mend(error.message, error.advice), task.shot, task.key)


def _with_mend(message: Message, mend: Message | None) -> Message:
    return Message("styling.and-then", first=message, second=mend) if mend else message


def _size(request: ImageRequest) -> str | None:
    expected = request.frame.expected
    return str(expected) if expected else request.frame.asked


def _waves(tasks: Sequence[FrameTask]) -> dict[str, int]:
    """The wave of each frame; story order already puts what is needed before what needs it."""
    waves: dict[str, int] = {}
    for task in tasks:
        waves[task.key] = 1 + max((waves[key] for key in task.depends_on), default=0)
    return waves


def _expected(frames: Sequence[FramePlan], backend: str, rate: int) -> Duration:
    """The longest of three: the longest chain, all work shared by the calls at once, the rate limit."""
    spans = [_seconds(frame.model, backend) for frame in frames]
    limited = (len(frames) - 1) / rate * 60 if len(frames) > rate else 0.0

    def longest(each: Sequence[float]) -> float:
        return max(_chain(frames, each), sum(each) / float(pace()["at_once"]), limited)

    return Duration(longest([span.low for span in spans]), longest([span.high for span in spans]))


def _chain(frames: Sequence[FramePlan], seconds: Sequence[float]) -> float:
    ends: dict[str, float] = {}
    for frame, own in zip(frames, seconds, strict=True):
        ends[frame.task.key] = own + max((ends[key] for key in frame.task.depends_on), default=0.0)
    return max(ends.values(), default=0.0)


def _seconds(model: str | None, backend: str) -> Duration:
    known = pace()
    return Duration(*(known["backends"].get(backend) or known["seconds"].get(model, known["otherwise"])))


def _describe_reference(reference: ShotReference) -> dict[str, Any]:
    return {"role": reference.role, **({"frame": reference.frame} if reference.frame else {"path": reference.path})}


def _describe_price(price: Price | None) -> dict[str, Any] | None:
    if price is None:
        return None
    return {"amount": None if price.amount is None else format(price.amount, "f"), "currency": price.currency}
