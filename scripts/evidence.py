"""`make evidence`: measure what docs/evidence.md claims, keep the answers in docs/evidence.json, write the page.

In: the parts named with `--only`, all without it; `--render` measures nothing. Out: both files. A part is one command
of the checkout; its output, its end and its day are kept, so that one part can be renewed alone. A part whose program
is not there, or which nobody has measured, is said to be so. Never in here: a figure, a claim without a command.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT / "docs" / "evidence.json"
PAGE = ROOT / "docs" / "evidence.md"
MOST_LINES = 120
MOST_NAMED = 12
"""So many cases of a sentence are named, more are counted."""

COLOURS = re.compile(r"\x1b\[[0-9;]*m")
SENTENCE = re.compile(r"^(\S+)::test_(\w+)(?:\[(.*)\])? (PASSED|FAILED|ERROR|SKIPPED)", re.MULTILINE)

Measured = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Part:
    """One thing that is claimed and the command that shows it; `after`: the output counts from this line on."""

    name: str
    title: str
    claim: str
    command: tuple[str, ...]
    after: str = ""

    @property
    def typed(self) -> str:
        """The command as a person types it in the checkout."""
        return " ".join(("python", *self.command))


def _tests(*files: str) -> tuple[str, ...]:
    """The command that runs tests, their sentences on separate lines."""
    return ("-m", "pytest", "-v", "-n0", "-p", "no:randomly", "-m", '"slow or not slow"', *files)


PARTS = (
    Part(
        "faults",
        "Faults of the service and the network",
        "Whatever breaks, no call is paid twice, and the answer says what was billed. The table itself, one row a "
        "fault with POSTs, bills, files, and what the same call does next: "
        "[references/errors.md](../references/errors.md).",
        _tests("tests/studio/test_faults.py"),
    ),
    Part(
        "kills",
        "Boards whose workers are killed",
        "Three workers share a board and are killed with `kill -9` at random moments: nothing is billed twice, and "
        "what is unknown is said.",
        ("-m", "bench.storyboard", "kills"),
    ),
    Part(
        "signals",
        "Signals and hosts that leave",
        "A host that goes away, Ctrl-C or a closed terminal costs no paid picture.",
        _tests("tests/cli/test_cli_interrupted.py", "tests/front/test_front.py"),
    ),
    Part(
        "prompts",
        "What the prompt checks say about people's prompts",
        "Good prompts are let through, faults are named. With FILE it reads your own: csv, tsv, json, jsonl, or txt "
        "with a prompt on each line.",
        ("-m", "bench.prompts"),
    ),
    Part(
        "asks",
        "Sixty asks of people",
        "How many come out right at the first call; the goal is 57.",
        ("-m", "bench.asks"),
    ),
    Part(
        "hosts",
        "Hosts",
        "Real hosts, driven offline by a scripted model: what each sees and does with the tools.",
        ("-m", "bench.hosts"),
    ),
    Part(
        "speed",
        "Time and memory beside simpler tools",
        "Beside a *careful* tool (a shared client, fitting bytes written as they are), a *naive* one (a client for "
        "each request, always encoding anew) and a bare SDK server. Ratios travel between machines, milliseconds "
        "do not.",
        ("-m", "bench"),
        after="Targets",
    ),
)


def main(words: Sequence[str] | None = None) -> int:
    """Measure, keep, render. 1 when a part did not hold."""
    options = argparse.ArgumentParser(prog="python -m scripts.evidence", description=__doc__)
    options.add_argument("--only", nargs="+", choices=[part.name for part in PARTS], metavar="PART", default=[])
    options.add_argument("--render", action="store_true", help="write the page from what was measured before")
    given = options.parse_args(words)
    kept: dict[str, Measured] = json.loads(DATA.read_text(encoding="utf-8")) if DATA.is_file() else {}
    wanted = [part for part in PARTS if not given.render and (not given.only or part.name in given.only)]
    for part in wanted:
        print(f"{part.name}: {part.typed}", flush=True)
        kept[part.name] = measure(part, ROOT)
        DATA.write_text(json.dumps(kept, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
        PAGE.write_text(page(kept), encoding="utf-8")
    PAGE.write_text(page(kept), encoding="utf-8")
    return 1 if any(kept[part.name].get("exit") for part in wanted) else 0


def measure(part: Part, root: Path) -> Measured:
    """Run a part's command in the checkout; what it printed, how it ended, when and on what."""
    module = part.command[1].replace(".", "/") if part.command[0] == "-m" else ""
    if module.startswith("bench") and not any(
        (root / name).is_file() for name in (f"{module}.py", f"{module}/__main__.py")
    ):
        return {"absent": f"{part.command[1]} is not in this checkout", "date": _today()}
    begun = time.monotonic()
    command = [sys.executable, *(word.strip('"') for word in part.command)]
    environ = {**os.environ, "COLUMNS": "120", "PYTHONIOENCODING": "utf-8"}
    done = subprocess.run(command, cwd=root, env=environ, check=False, capture_output=True, text=True, encoding="utf-8")
    output = COLOURS.sub("", done.stdout).replace(str(root), ".")
    return {
        "date": _today(),
        "exit": done.returncode,
        "seconds": round(time.monotonic() - begun),
        "machine": f"{os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}",
        "output": _shortened(_from(output if output.strip() else done.stderr, part.after)),
    }


def page(kept: Mapping[str, Measured]) -> str:
    """docs/evidence.md: each part with its claim, its command, its day and what was printed."""
    head = [
        "# Evidence",
        "<!-- Written by `make evidence` from docs/evidence.json. Do not edit. -->",
        "What is claimed, the command that shows it, and what it printed on the day given. Renew one part with "
        "`python -m scripts.evidence --only PART`, all with `make evidence`.",
        "| part | claim | command | day | it |\n|---|---|---|---|---|\n"
        + "\n".join(_row(part, kept.get(part.name, {})) for part in PARTS),
    ]
    return "\n\n".join([*head, *(_section(part, kept.get(part.name, {})) for part in PARTS)]) + "\n"


def _row(part: Part, measured: Measured) -> str:
    day = measured.get("date", "–")
    return f"| [{part.name}](#{_anchor(part.title)}) | {part.title} | `{part.typed}` | {day} | {_ended(measured)} |"


def _section(part: Part, measured: Measured) -> str:
    said = f"## {part.title}\n\n{part.claim}\n\n`{part.typed}`"
    if "output" not in measured:
        return f"{said}\n\n{_ended(measured).capitalize()}."
    how = f"{measured['date']}, {measured['seconds']} s, {measured['machine']}: it {_ended(measured)}."
    sentences = _sentences(measured["output"])
    if sentences:
        return f"{said}\n\n{how}\n\n{sentences}"
    return f"{said}\n\n{how}\n\n```text\n{measured['output']}\n```"


def _ended(measured: Measured) -> str:
    if "absent" in measured:
        return f"not measured: {measured['absent']}"
    if "exit" not in measured:
        return "not measured yet"
    return "held" if measured["exit"] == 0 else f"missed a target (exit {measured['exit']})"


def _sentences(output: str) -> str:
    """Tests are sentences: one line for each, with its cases, by name where they are few."""
    cases: dict[str, list[tuple[str, str]]] = {}
    for _, name, case, end in SENTENCE.findall(output):
        cases.setdefault(name.replace("_", " "), []).append((case, end))
    lines = [f"| {sentence} | {_told([end for _, end in found])}{_which(found)} |" for sentence, found in cases.items()]
    return "\n".join(["| sentence | cases |", "|---|---|", *lines]) if lines else ""


def _told(ends: Sequence[str]) -> str:
    failed = sum(end in {"FAILED", "ERROR"} for end in ends)
    if failed:
        return f"{failed} of {len(ends)} failed"
    if set(ends) == {"SKIPPED"}:
        return "not run here"
    return f"{len(ends)} held" if len(ends) > 1 else "held"


def _which(found: Sequence[tuple[str, str]]) -> str:
    named = [case.replace("|", "\\|") for case, _ in found if case]
    return f": {'; '.join(named)}" if 1 < len(named) <= MOST_NAMED else ""


def _anchor(title: str) -> str:
    return re.sub(r"[^a-z0-9 -]", "", title.lower()).replace(" ", "-")


def _from(output: str, line: str) -> str:
    """What follows a line of the output; all of it where there is no such line."""
    _, found, rest = output.partition(f"\n{line}\n")
    return rest if line and found else output


def _shortened(output: str) -> str:
    tests = [match[0] for match in SENTENCE.finditer(output)]
    lines = tests or [line.rstrip() for line in output.strip("\n").splitlines()]
    if tests or len(lines) <= MOST_LINES:
        return "\n".join(lines)
    return "\n".join([*lines[: MOST_LINES // 2], f"… {len(lines) - MOST_LINES} lines …", *lines[-MOST_LINES // 2 :]])


def _today() -> str:
    return datetime.now(UTC).date().isoformat()


if __name__ == "__main__":
    sys.exit(main())
