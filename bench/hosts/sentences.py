"""What must hold in every host, and how each is found out.

In: a host and an empty folder. Out: whether it holds, and the few words that the table shows. Never in here: how a
host is started, a provider's API.
"""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image

from bench.homes import Gate, home
from bench.hosts.programs import Host
from bench.hosts.stage import Run, Stage, facts, later
from bench.hosts.turns import Asked, CallTool, Say, Turn
from seedframe.front.kept_answers import Answers

ALLEY = "雨后的江南小巷，一位撑着油纸伞的少女走过青石板路，灯笼的暖光映在积水里，电影感竖幅画面。"
HARBOUR = "清晨的渔港，一排木船停在薄雾里，船夫在码头上整理渔网，远处灯塔亮着光，电影感竖幅画面。"
CALL = CallTool({"prompt": ALLEY, "ratio": "9:16", "save_as": "alley"})
OTHER_CALL = CallTool({"prompt": HARBOUR, "ratio": "9:16", "save_as": "harbour"})
REFUSED_CALL = CallTool({"prompt": ALLEY, "ratio": "20:1"})
ADVICE = "The nearest legal ratio is 16:1"
UNDER_WAY = "under_way"
LOADED_RUNS = 10
SLOW_RUNS = 3
FIRST_RUNS = 3
SLOWER_BY_SECONDS = 0.5
GIVE_UP_SECONDS = 5
LATER_SECONDS = 2.5
"""When the work ends after the second call was asked for: late enough for it to have come, within the time above."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """One cell of the table."""

    holds: bool
    said: str


@dataclass(frozen=True, slots=True)
class Ground:
    """Where a sentence is found out: a host, an empty folder, what an earlier start of our server kept.

    `waiting` is set once nothing but the service's time passes.
    """

    host: Host
    folder: Path
    answers: Answers
    waiting: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def stage(self, gate: Gate | None = None, **extra: str) -> Iterator[Stage]:
        """The host in a home in that folder with a service of its own; `extra` are variables of our server."""
        with home(self.folder / "home", self.answers, gate, **extra) as place:
            yield Stage(self.host, place)


@dataclass(frozen=True, slots=True)
class Sentence:
    """A row of the table. `loaded`: found out while every core is busy. `waits`: it takes long and does little."""

    title: str
    find_out: Callable[[Ground], Outcome]
    loaded: bool = False
    waits: bool = False


def tools_under_load(ground: Ground) -> Outcome:
    """Start the host again and again: the first request to its model must offer our tool."""
    with ground.stage() as place:
        found = sum(_offers_tool(place.run(_only_words)) for _ in range(LOADED_RUNS))
    return Outcome(found == LOADED_RUNS, f"{found} of {LOADED_RUNS}")


def tools_of_a_slow_start(ground: Ground) -> Outcome:
    """The server's own start takes half a second more."""
    with ground.stage() as place:
        server = place.server(slower_by=SLOWER_BY_SECONDS)
        found = sum(_offers_tool(place.run(_only_words, server)) for _ in range(SLOW_RUNS))
    return Outcome(found == SLOW_RUNS, f"{found} of {SLOW_RUNS}")


def tools_of_the_first_start(ground: Ground) -> Outcome:
    """Nothing was kept by an earlier start: each run is the first in a home of its own."""
    found = 0
    for number in range(FIRST_RUNS):
        with home(ground.folder / f"home-{number}", {}) as place:
            found += _offers_tool(Stage(ground.host, place).run(_only_words))
    return Outcome(found == FIRST_RUNS, f"{found} of {FIRST_RUNS}")


def result_and_refusal(ground: Ground) -> Outcome:
    """A picture, then a refusal: the words of both and the preview must be in what the model reads next."""
    turns = iter((CALL, REFUSED_CALL))
    with ground.stage() as place:
        run = place.run(_in_turn(turns))
        bills = place.home.bills
    if len(run.asked) != 3:
        return Outcome(False, f"{len(run.asked)} turns")
    _, made, refused = run.asked
    seen = {
        "text": _is_done(made, place.home.pictures / "alley.jpg"),
        "preview": [_shape(image) for image in made.images] == ["9:16"],
        "refusal": ADVICE in refused.text and not refused.images,
        "one bill": bills == (1, 1),
    }
    return _all(seen)


def text_alone(ground: Ground) -> Outcome:
    """For a model that takes no pictures: no picture in the request, and the text says everything."""
    with ground.stage(SEEDFRAME_PREVIEW="none") as place:
        run = place.run(_in_turn(iter((CALL,))))
        bills = place.home.bills
    made = run.asked[-1]
    seen = {
        "text": len(run.asked) == 2 and _is_done(made, place.home.pictures / "alley.jpg"),
        "no picture": not made.images,
        "one bill": bills == (1, 1),
    }
    return _all(seen)


def long_call(seconds: float) -> Callable[[Ground], Outcome]:
    """The service takes so long. A host that would cut the call off gets a ticket before; the same call collects."""

    def find_out(ground: Ground) -> Outcome:
        with ground.stage(Gate(seconds, reached=ground.waiting)) as place:
            run = place.run(_until_collected)
            bills = place.home.bills
        made = run.newest()
        if made.get("status") != "done" or bills != (1, 1):
            return Outcome(False, f"{made.get('status', 'no result')}, {_bills(bills)}")
        tickets = [facts(asked).get("status") for asked in run.asked].count(UNDER_WAY)
        how = f"{tickets} ticket{'s' if tickets > 1 else ''}, collected" if tickets else "one call"
        return Outcome(len(run.asked) == tickets + 2, f"{how}, {run.arrived[-1] - run.arrived[0]:.0f} s")

    return find_out


def gives_up(ground: Ground) -> Outcome:
    """The host stops waiting and the model calls again: while the work goes on, and after it has ended."""
    gate = Gate(shut=True)
    with ground.stage(gate) as place:
        run = place.run(_impatient(place), place.server(give_up_seconds=GIVE_UP_SECONDS))
        bills = place.home.bills
    results = [one for one in map(facts, run.asked) if one.get("status") == "done"]
    marks = [next((mark for mark in ("joined", "replayed") if one.get(mark)), "made anew") for one in results]
    return Outcome(marks == ["joined", "replayed"] and bills == (2, 2), f"{', '.join(marks)}; {_bills(bills)}")


def killed(ground: Ground) -> Outcome:
    """The host and its whole process group die in mid-call; a new one makes the identical call."""
    gate = Gate(shut=True)
    with ground.stage(gate) as place:
        place.run(_in_turn(iter((CALL,))), kill=gate.reached)
        gate.open()
        saved = place.home.until_saved()
        run = place.run(_in_turn(iter((CALL,))))
        bills = place.home.bills
    made = run.newest()
    seen = {
        "saved": saved and (place.home.pictures / "alley.jpg").is_file(),
        "replayed": made.get("status") == "done" and made.get("replayed") is True,
        "one bill": bills == (1, 1),
    }
    return _all(seen)


def _impatient(place: Stage) -> Callable[[Asked], Turn]:
    """Twice each call: once the host gave up on the first, the second is made before or after the work has ended.

    On a slow machine a host gives up before anything was sent; then nothing was paid, and it calls once more.
    """

    def sent(call: CallTool) -> Iterator[Turn]:
        yield call
        while not place.home.gate.reached.is_set():
            yield call

    def steps() -> Iterator[Turn]:
        yield from sent(CALL)
        later(LATER_SECONDS, place.home.gate.open)
        yield CALL
        place.home.gate.shut()
        yield from sent(OTHER_CALL)
        place.home.gate.open()
        place.home.until_saved(2)
        yield OTHER_CALL

    return _in_turn(steps())


def _only_words(_asked: Asked) -> Turn:
    return Say("done")


def _until_collected(asked: Asked) -> Turn:
    status = facts(asked).get("status")
    return CALL if asked.has_tool and status in {None, UNDER_WAY} else Say("done")


def _in_turn(turns: Iterator[Turn]) -> Callable[[Asked], Turn]:
    """One turn for each request; words at the end, and for a host that does not offer our tool."""
    taking = threading.Lock()

    def script(asked: Asked) -> Turn:
        with taking:
            return next(turns, Say("done")) if asked.has_tool else Say("no tool")

    return script


def _offers_tool(run: Run) -> bool:
    return bool(run.asked) and run.asked[0].has_tool


def _is_done(asked: Asked, path: Path) -> bool:
    made = facts(asked)
    return made.get("status") == "done" and made["pictures"][0]["path"] == str(path) and path.is_file()


def _shape(image: bytes) -> str:
    width, height = Image.open(io.BytesIO(image)).size
    return "9:16" if abs(width / height - 9 / 16) < 0.02 else f"{width}x{height}"


def _all(seen: Mapping[str, bool]) -> Outcome:
    missing = [name for name, there in seen.items() if not there]
    return Outcome(not missing, f"not: {', '.join(missing)}" if missing else ", ".join(seen))


def _bills(bills: tuple[int, int]) -> str:
    return f"{bills[0]} bill{'' if bills[0] == 1 else 's'}"


SENTENCES = (
    Sentence("A 70 s call brings its picture, paid once", long_call(70), waits=True),
    Sentence("Tools in the first request, every core busy", tools_under_load, loaded=True),
    Sentence("Text and preview reach the model; a refusal reads well", result_and_refusal),
    Sentence("Previews off: text alone says everything", text_alone),
    Sentence("Given up and called again: joined, then replayed", gives_up),
    Sentence("Host killed in mid-call: saved, replayed, paid once", killed),
    Sentence("Tools in the first request, start 0.5 s slower", tools_of_a_slow_start),
    Sentence("First start ever: tools in the first request, every core busy", tools_of_the_first_start, loaded=True),
)
LONG_SENTENCES = (
    Sentence("A 150 s call brings its picture, paid once", long_call(150), waits=True),
    Sentence("A 310 s call brings its picture, paid once", long_call(310), waits=True),
)
