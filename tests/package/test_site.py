"""The site is the repository's own pages: one home each, every link leads somewhere, nothing is fetched."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from scripts.readme_commands import commands
from scripts.site import ROOT, collect, pages, turned

LANGUAGES = ("index.md", "hosts.md", "prompts.md", "models.md", "storyboards.md")
FETCHED = re.compile(r"""<(?:script|img|iframe|link)\b[^>]*?(?:src|href)=["']?(https?:[^"' >]+)""")
OTHERS_TO_KNOW = re.compile(r'rel="?(?:canonical|edit|prev|next|alternate)')


def test_the_first_five_pages_are_there_in_both_languages():
    places = set(pages(ROOT).values())

    assert {*LANGUAGES, *(f"zh/{name}" for name in LANGUAGES)} <= places


def test_every_page_is_on_the_menu():
    menu = (ROOT / "mkdocs.yml").read_text(encoding="utf-8").partition("\nnav:\n")[2]

    assert sorted(set(re.findall(r"[\w/-]+\.md", menu))) == sorted(pages(ROOT).values())


def test_links_are_turned_to_where_a_page_stands_on_the_site(tmp_path: Path):
    collect(ROOT, tmp_path)

    assert "(../prompts/shots_from_script.md)" not in (tmp_path / "storyboards.md").read_text(encoding="utf-8")
    assert "](prompts/shots_from_script.md)" in (tmp_path / "storyboards.md").read_text(encoding="utf-8")
    assert "](../settings.md)" in (tmp_path / "zh" / "hosts.md").read_text(encoding="utf-8")
    assert "](https://github.com/seedframe/seedframe/blob/main/LICENSE)" in turned(
        "[licence](../LICENSE)", "docs/hosts.md", pages(ROOT), ROOT
    )


def test_a_link_that_leads_nowhere_ends_the_build_with_its_page():
    with pytest.raises(SystemExit, match=r"docs/hosts\.md links to nowhere\.md, which is not there"):
        turned("[x](nowhere.md)", "docs/hosts.md", pages(ROOT), ROOT)


def test_what_stands_in_code_is_no_link():
    text = "```text\n[x](nowhere.md)\n```\n"

    assert turned(text, "docs/hosts.md", pages(ROOT), ROOT) == text


def test_commands_of_chinese_pages_are_those_that_the_english_ones_show_and_tests_run():
    shown = {tuple(words) for words in commands((ROOT / "references" / "storyboards.md").read_text(encoding="utf-8"))}
    chinese = [
        tuple(words) for words in commands((ROOT / "docs" / "zh" / "storyboards.md").read_text(encoding="utf-8"))
    ]

    assert len(chinese) == 5
    assert set(chinese) <= shown


@pytest.mark.slow
def test_the_site_is_built_strictly_and_fetches_nothing(tmp_path: Path):
    pytest.importorskip("mkdocs", reason="`make docs` installs it")
    site = tmp_path / "site"
    command = [sys.executable, "-m", "scripts.site", "-d", str(site)]
    offline = {"http_proxy": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9", "PYTHONPATH": str(ROOT)}
    built = subprocess.run(command, cwd=ROOT, env=offline, capture_output=True, text=True, check=False)

    assert (built.returncode, "WARNING" in built.stderr) == (0, False), built.stderr
    html = sorted(site.rglob("*.html"))
    assert {path.relative_to(site).with_suffix(".md").as_posix() for path in html} - {"404.md"} == set(
        pages(ROOT).values()
    )
    for path in html:
        text = path.read_text(encoding="utf-8")
        tags = [
            tag for tag in re.findall(r"<(?:script|img|iframe|link)\b[^>]*>", text) if not OTHERS_TO_KNOW.search(tag)
        ]
        assert [tag for tag in tags if FETCHED.match(tag)] == [], path
        for link in re.findall(r'href="?([^"#> ]+)', text):
            if "://" not in link and not link.startswith(("mailto:", "data:", "javascript:")):
                place = site / link[1:] if link.startswith("/") else path.parent / link
                assert place.exists(), f"{path.name}: {link}"
