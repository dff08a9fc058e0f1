"""The evidence page is what was measured: rendered from its data, each part with its command and its day."""

from __future__ import annotations

import json
from pathlib import Path

from scripts.evidence import DATA, PAGE, PARTS, ROOT, Part, measure, page

KEPT = json.loads(DATA.read_text(encoding="utf-8"))


def part(*command: str, after: str = "") -> Part:
    return Part("part", "A part", "It holds.", command, after)


def test_the_page_says_what_the_data_says():
    assert PAGE.read_text(encoding="utf-8") == page(KEPT)


def test_every_part_is_on_the_page_with_its_command_and_its_day():
    text = PAGE.read_text(encoding="utf-8")

    assert set(KEPT) <= {each.name for each in PARTS}
    for each in PARTS:
        assert f"`{each.typed}`" in text
        assert KEPT.get(each.name, {}).get("date", "not measured yet") in text


def test_no_path_of_the_machine_is_on_the_page():
    assert str(Path.home()) + "/" not in PAGE.read_text(encoding="utf-8")
    assert str(ROOT) not in PAGE.read_text(encoding="utf-8")


def test_a_measurement_keeps_what_was_printed_and_how_it_ended(tmp_path: Path):
    code = "import os; print('noise\\nTargets\\nours 3 of 4', os.getcwd()); raise SystemExit(1)"

    measured = measure(part("-c", code, after="Targets"), tmp_path)

    assert (measured["exit"], measured["output"]) == (1, "ours 3 of 4 .")
    assert "it missed a target (exit 1)" in page({"asks": measured})


def test_a_program_that_is_not_there_is_said_to_be_missing(tmp_path: Path):
    measured = measure(part("-m", "bench.nowhere"), tmp_path)

    assert measured["absent"] == "bench.nowhere is not in this checkout"
    assert "not measured: bench.nowhere is not in this checkout" in page({"hosts": measured})


def test_tests_are_shown_as_sentences_with_the_number_of_their_cases():
    output = "t.py::test_it_holds[a] PASSED [ 1%]\nt.py::test_it_holds[b] FAILED [ 2%]\nt.py::test_else PASSED [ 3%]"
    shown = page({"faults": {"date": "2026-11-21", "exit": 1, "seconds": 1, "machine": "m", "output": output}})

    assert "| it holds | 1 of 2 failed: a; b |\n| else | held |" in shown
