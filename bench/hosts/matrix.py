"""Runs every sentence in every host and prints the table.

In: which sentences. Out: a `Matrix`, and its table as text. Calls that take long by themselves wait beside everything
else; what is found out under load runs one host after the other, each start with every core busy.
Never in here: what a sentence means.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path

from bench.homes import settled
from bench.hosts import installed
from bench.hosts.programs import HOSTS, Host
from bench.hosts.sentences import SENTENCES, Ground, Outcome, Sentence
from bench.startup import every_core_busy, keep_answers
from seedframe.front.kept_answers import Answers, answers_file, read_answers

_AT_ONCE = 2


@dataclass(frozen=True, slots=True)
class Matrix:
    """The whole table: outcomes by the sentence's title and the host's name."""

    sentences: Sequence[str]
    hosts: Sequence[tuple[str, str]]
    cells: Mapping[tuple[str, str], Outcome]
    seconds: float

    @property
    def holds(self) -> bool:
        """Whether every cell holds."""
        return all(cell.holds for cell in self.cells.values())

    def rows(self) -> list[list[str]]:
        """The table as text, the first row its head."""
        head = ["", *(f"{name} {version}" for name, version in self.hosts)]
        body = [[title, *(_cell(self.cells[title, name]) for name, _ in self.hosts)] for title in self.sentences]
        return [head, *body]

    def __str__(self) -> str:
        rows = self.rows()
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = ["| " + " | ".join(map(str.ljust, row, widths)) + " |" for row in rows]
        lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
        missed = sum(not cell.holds for cell in self.cells.values())
        ends = f"{len(self.cells) - missed} of {len(self.cells)} hold; {self.seconds:.0f} s, {os.cpu_count()} cores"
        return "\n".join([*lines, "", ends])


def run_matrix(hosts: Sequence[Host] = HOSTS, sentences: Sequence[Sentence] = SENTENCES) -> Matrix:
    """Every sentence in every host. NotReachable where the hosts cannot be installed."""
    installed.commands()
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="seedframe-hosts-", ignore_cleanup_errors=True) as folder:
        cells = _cells(hosts, sentences, Path(folder))
    names = [(host.name, host.version) for host in hosts]
    return Matrix([sentence.title for sentence in sentences], names, cells, time.monotonic() - began)


def _cells(hosts: Sequence[Host], sentences: Sequence[Sentence], folder: Path) -> dict[tuple[str, str], Outcome]:
    answers = _kept_answers(folder)
    grounds = {
        (sentence.title, host.name): Ground(host, folder / f"{row}-{column}", answers)
        for row, sentence in enumerate(sentences)
        for column, host in enumerate(hosts)
    }
    rows = {sentence.title: sentence for sentence in sentences}
    found: dict[tuple[str, str], Future[Outcome]] = {}
    with ThreadPoolExecutor(len(grounds)) as beside, ThreadPoolExecutor(_AT_ONCE) as pool:
        for cell, ground in _only(grounds, rows, lambda row: row.waits):
            found[cell] = beside.submit(rows[cell[0]].find_out, ground)
            _until_it_waits(found[cell], ground)
        for cell, ground in _only(grounds, rows, lambda row: not (row.waits or row.loaded)):
            found[cell] = pool.submit(rows[cell[0]].find_out, ground)
        wait([found[cell] for cell in found if not rows[cell[0]].waits])
        with every_core_busy():
            for cell, ground in _only(grounds, rows, lambda row: row.loaded):
                found[cell] = pool.submit(rows[cell[0]].find_out, ground)
                wait([found[cell]])
        return {cell: _outcome(future) for cell, future in found.items()}


def _only(
    grounds: Mapping[tuple[str, str], Ground], rows: Mapping[str, Sentence], which: Callable[[Sentence], bool]
) -> Iterator[tuple[tuple[str, str], Ground]]:
    return ((cell, ground) for cell, ground in grounds.items() if which(rows[cell[0]]))


def _until_it_waits(future: Future[Outcome], ground: Ground) -> None:
    """So that hosts start one after the other."""
    future.add_done_callback(lambda _: ground.waiting.set())
    ground.waiting.wait()


def _outcome(future: Future[Outcome]) -> Outcome:
    """What was found out; a sentence that broke off does not hold, and says with what."""
    if error := future.exception():
        return Outcome(False, f"{type(error).__name__}: {error}"[:80])
    return future.result()


def _kept_answers(folder: Path) -> Answers:
    """What our server keeps after a first start: the same for every home, whatever service it talks to."""
    environ = {"PATH": os.environ["PATH"], **settled(folder)}
    keep_answers(environ)
    return read_answers(answers_file(environ))


def _cell(outcome: Outcome) -> str:
    return f"{'yes' if outcome.holds else 'NO'}: {outcome.said}"
