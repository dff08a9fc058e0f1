"""Generated texts are fresh: what stands on disk is what the data says now (`make docs` rewrites it)."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from scripts import reference_pages
from scripts.reference_pages import checkout, errors_page, filled, generated, marked_tables, models_page, settings_table

from seedframe.catalog import api_errors, catalog
from seedframe.settings import SETTINGS

ROOT = Path(__file__).resolve().parents[2]
GENERATED = generated(ROOT)


@pytest.mark.parametrize("path", GENERATED, ids=lambda path: path.name)
def test_a_generated_text_is_fresh(path: Path):
    assert path.read_text(encoding="utf-8") == GENERATED[path], f"{path.name} is stale: run `make docs`"


@pytest.mark.parametrize("path", GENERATED, ids=lambda path: path.name)
def test_every_mark_is_known_and_closed(path: Path):
    text = path.read_text(encoding="utf-8")
    opened = re.findall(r"<!-- generated: (\S+) -->", text)
    assert set(opened) <= {*marked_tables(), "fault-table"}
    assert text.count("<!-- end -->") == len(opened)


def test_every_model_with_its_ids_and_every_backend_is_on_the_page():
    page = models_page()
    names = [model.name for model in catalog().models] + [backend.name for backend in catalog().backends]
    ids = [id for model in catalog().models for column in model.ids.values() for id in column]
    assert [name for name in (*names, *ids) if name not in page] == []


def test_every_row_of_the_error_table_is_on_the_page_with_its_advice():
    page = errors_page()
    assert [row.name for row in api_errors() if f"`{row.code}`" not in page or row.advice.text("en") not in page] == []


def test_every_setting_and_every_key_is_in_the_table():
    table = settings_table()
    keys = [name for backend in catalog().backends for name in (*backend.key_settings, *backend.base_settings)]
    assert [name for name in (*(row.name for row in SETTINGS), *keys) if f"`{name}`" not in table] == []


def test_every_table_has_as_many_cells_in_each_row_as_in_its_head():
    pages = {"models": models_page(), "errors": errors_page(), **marked_tables()}
    uneven = []
    for name, page in pages.items():
        for table in re.findall(r"(?:^\|.*\|\n)+", page, re.MULTILINE):
            cells = {len(re.findall(r"(?<!\\)\|", row)) for row in table.splitlines()}
            uneven += [name] if len(cells) > 1 else []
    assert uneven == []


def test_a_part_between_marks_is_replaced_and_the_rest_is_left_alone():
    text = "before\n<!-- generated: models -->\nold\nrows\n<!-- end -->\nafter\n"
    assert filled(text, {"models": "new\n"}) == "before\n<!-- generated: models -->\nnew\n<!-- end -->\nafter\n"


def test_a_mark_nothing_is_generated_for_is_an_error():
    with pytest.raises(KeyError, match="weather"):
        filled("<!-- generated: weather -->\n<!-- end -->\n", marked_tables())


def test_the_fault_table_stands_on_the_page_once_its_rows_are_measured():
    row = {"fault": "drop before the answer", "POSTs": 1, "bills": 1, "told": "OutcomeUnknown"}
    page = errors_page([row])
    assert "| fault | POSTs | bills | told |\n" in page
    assert "| drop before the answer | 1 | 1 | OutcomeUnknown |\n" in page
    assert "## Fault table" not in errors_page()


def test_rewriting_is_refused_outside_a_checkout(tmp_path: Path):
    with pytest.raises(SystemExit, match="not in a checkout of Seedframe"):
        checkout(tmp_path / "lib" / "site-packages" / "seedframe" / "reference_pages.py")
    assert checkout(Path(reference_pages.__file__).resolve()) == ROOT
