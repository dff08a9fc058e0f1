"""`make docs`: regenerate the computed pages, collect every page from its home, and build the site with MkDocs.

In: the checkout, mkdocs.yml. Out: `dist/site`, readable from the disk, with nothing fetched from elsewhere. A page
keeps its one home in the repository; here its links are only turned to where its neighbours stand on the site. A link
to what is no page leads to the repository. Exit 1 where a link leads nowhere. Never in here: a sentence of a page.
"""

from __future__ import annotations

import os
import posixpath
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from scripts import reference_pages

ROOT = Path(__file__).resolve().parents[1]
COLLECTED = ROOT / ".cache" / "site"
REPOSITORY = "https://github.com/seedframe/seedframe/blob/main/"
LINK = re.compile(r"(\]\()([^)\s]+)(\))")
FRONT_MATTER = re.compile(r"\A---\n.*?\n---\n", re.DOTALL)
NAMED = {
    "README.md": "index.md",
    "README.zh-CN.md": "zh/index.md",
    "references/prompting.md": "prompts.md",
    "SKILL.md": "skill.md",
    **{f"{name}.md": f"{name.lower()}.md" for name in ("ARCHITECTURE", "SECURITY", "CONTRIBUTING", "CHANGELOG")},
}
"""Pages whose name on the site is another one than at home."""

_FOLDERS = (
    ("references", ""),
    ("docs", ""),
    ("docs/zh", "zh/"),
    ("docs/tools", "tools/"),
    ("prompts", "prompts/"),
)
"""Folders of pages, and where they stand on the site."""


def pages(root: Path) -> dict[str, str]:
    """Home of each page → its place on the site."""
    found = dict(NAMED)
    for folder, place in _FOLDERS:
        for path in sorted((root / folder).glob("*.md")):
            found.setdefault(f"{folder}/{path.name}", f"{place}{path.name}")
    return found


def collect(root: Path, into: Path) -> None:
    """Every page with its links turned, and the pictures they show."""
    shutil.rmtree(into, ignore_errors=True)
    places = pages(root)
    pictures = {
        path.relative_to(root).as_posix() for path in (root / "docs").glob("*") if path.suffix in {".jpg", ".png"}
    }
    places |= {picture: f"pictures/{posixpath.basename(picture)}" for picture in pictures}
    for home, place in places.items():
        target = into / place
        target.parent.mkdir(parents=True, exist_ok=True)
        if home in pictures:
            shutil.copy(root / home, target)
        else:
            text = (root / home).read_text(encoding="utf-8")
            target.write_text(turned(FRONT_MATTER.sub("", text), home, places, root), encoding="utf-8")


def turned(text: str, home: str, places: Mapping[str, str], root: Path) -> str:
    """A page's text with its links as they are on the site. SystemExit for a link to a file that is not there."""

    def link(match: re.Match[str]) -> str:
        path, hash_, anchor = match[2].partition("#")
        if not path or "://" in path or path.startswith(("mailto:", "?")):
            return match[0]
        aim = posixpath.normpath(posixpath.join(posixpath.dirname(home), path))
        if not (root / aim).exists():
            raise SystemExit(f"{home} links to {path}, which is not there.")
        if aim not in places:
            return f"{match[1]}{REPOSITORY}{aim}{hash_}{anchor}{match[3]}"
        return f"{match[1]}{posixpath.relpath(places[aim], posixpath.dirname(places[home]))}{hash_}{anchor}{match[3]}"

    fenced = re.split(r"(^```.*?^```$)", text, flags=re.DOTALL | re.MULTILINE)
    return "".join(part if part.startswith("```") else LINK.sub(link, part) for part in fenced)


def main() -> int:
    """Pages, then the site."""
    reference_pages.main()
    collect(ROOT, COLLECTED)
    command = [
        sys.executable,
        "-m",
        "mkdocs",
        "build",
        "--strict",
        "--clean",
        "--quiet",
        "-f",
        str(ROOT / "mkdocs.yml"),
    ]
    environ = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run([*command, *sys.argv[1:]], cwd=ROOT, env=environ, check=False)
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
