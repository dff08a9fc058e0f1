"""What agents read: `prompts/*.md` as MCP prompts; these, `prompts/rules/*.md` and `references/*.md` as resources.

In: the packaged folders. Out: MCP values. Each text exists once, on disk. Never in here: the text itself.

A prompt file begins with lines `title:`, `description:` and `arguments:` (name = explanation, `?` marks an optional
one, separated by `;`), then `---`, then the text with {placeholders}.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import mcp.types as t
from mcp import MCPError

from seedframe.package_data import folder
from seedframe.prompting import sheets, writing_rules

SCHEME = "seedframe://"
_PLACEHOLDER = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True, slots=True)
class Text:
    """One prompt file."""

    name: str
    title: str
    description: str
    arguments: tuple[t.PromptArgument, ...]
    body: str

    def filled(self, given: dict[str, str]) -> str:
        """The text with its placeholders filled; optional ones that are absent read as a dash."""
        return _PLACEHOLDER.sub(lambda match: given.get(match[1], "–"), self.body)


@cache
def prompts() -> tuple[Text, ...]:
    """Every prompt, by name."""
    return tuple(_read_prompt(name, text) for name, text in _pages("prompts"))


@cache
def references() -> tuple[tuple[str, str], ...]:
    """Name and text of every reference page; the skill itself is one of them."""
    return tuple(_pages("references"))


@cache
def pages() -> dict[str, tuple[str, str]]:
    """Every resource by its address: name and text."""
    groups = (("references", references()), ("prompts", tuple(_pages("prompts"))), ("prompts/rules", _rules()))
    return {_uri(group, name): (name, text) for group, texts in groups for name, text in texts}


async def list_prompts(_ctx: Any, _params: t.PaginatedRequestParams | None) -> t.ListPromptsResult:
    """`prompts/list`."""
    return t.ListPromptsResult(
        prompts=[
            t.Prompt(name=p.name, title=p.title, description=p.description, arguments=list(p.arguments))
            for p in prompts()
        ]
    )


async def get_prompt(_ctx: Any, params: t.GetPromptRequestParams) -> t.GetPromptResult:
    """`prompts/get`: a protocol error for an unknown name or a missing argument."""
    found = next((prompt for prompt in prompts() if prompt.name == params.name), None)
    if found is None:
        raise MCPError(t.INVALID_PARAMS, f"Unknown prompt: {params.name}")
    given = dict(params.arguments or {})
    missing = [argument.name for argument in found.arguments if argument.required and not given.get(argument.name)]
    if missing:
        raise MCPError(t.INVALID_PARAMS, f"Missing required argument: {', '.join(missing)}")
    message = t.PromptMessage(role="user", content=t.TextContent(type="text", text=found.filled(given)))
    return t.GetPromptResult(description=found.description, messages=[message])


async def complete(_ctx: Any, params: t.CompleteRequestParams) -> t.CompleteResult:
    """`completion/complete`: pages of a template; models, ratios and languages where an argument has that name."""
    if isinstance(params.ref, t.ResourceTemplateReference):
        known = _pages_of(params.ref.uri) if params.argument.name == "page" else []
    else:
        known = _choices(params.argument.name)
    return completion(known, params.argument.value)


def completion(known: Sequence[str], begun: str) -> t.CompleteResult:
    """What of the known begins like that."""
    values = [value for value in known if value.startswith(begun)]
    return t.CompleteResult(completion=t.Completion(values=values[:100], total=len(values), has_more=len(values) > 100))


async def list_resources(_ctx: Any, _params: t.PaginatedRequestParams | None) -> t.ListResourcesResult:
    """`resources/list`: the reference pages, the prompts, the writing rules."""
    return t.ListResourcesResult(
        resources=[
            t.Resource(uri=uri, name=name, title=_title(text), mime_type="text/markdown", size=len(text.encode()))
            for uri, (name, text) in pages().items()
        ]
    )


async def list_templates(_ctx: Any, _params: t.PaginatedRequestParams | None) -> t.ListResourceTemplatesResult:
    """`resources/templates/list`."""
    kinds = (("references/{page}", "reference", "A reference page"), ("prompts/{page}", "prompt", "A writing guide"))
    templates = [
        t.ResourceTemplate(uri_template=SCHEME + path, name=name, title=title, mime_type="text/markdown")
        for path, name, title in kinds
    ]
    return t.ListResourceTemplatesResult(resource_templates=templates)


async def read_resource(_ctx: Any, params: t.ReadResourceRequestParams) -> t.ReadResourceResult:
    """`resources/read`."""
    uri = str(params.uri)
    if uri not in pages():
        raise MCPError(t.INVALID_PARAMS, "Resource not found", data={"uri": uri})
    _, text = pages()[uri]
    return t.ReadResourceResult(contents=[t.TextResourceContents(uri=uri, mime_type="text/markdown", text=text)])


def _pages(name: str) -> Iterator[tuple[str, str]]:
    for entry in sorted(folder(name).iterdir(), key=lambda item: item.name):
        if entry.name.endswith(".md"):
            yield entry.name.removesuffix(".md"), entry.read_text(encoding="utf-8")


def _rules() -> Iterator[tuple[str, str]]:
    return ((name, writing_rules(name)) for name in sheets())


def _read_prompt(name: str, text: str) -> Text:
    head, _, body = text.partition("\n---\n")
    fields = dict(line.split(": ", 1) for line in head.splitlines() if ": " in line)
    arguments = tuple(_argument(part) for part in fields.get("arguments", "").split(";") if part.strip())
    return Text(name, fields["title"], fields["description"], arguments, body.lstrip("\n"))


def _argument(part: str) -> t.PromptArgument:
    name, _, meaning = part.partition("=")
    required = not name.strip().endswith("?")
    return t.PromptArgument(name=name.strip().rstrip("?"), description=meaning.strip(), required=required)


def _pages_of(template: str) -> list[str]:
    """The pages that a template of ours leads to."""
    place, _, blank = template.partition("{page}")
    if blank or "{page}" not in template:
        return []
    return [uri.removeprefix(place) for uri in pages() if uri.startswith(place)]


def _choices(argument: str) -> list[str]:
    from seedframe.catalog import catalog
    from seedframe.geometry import NAMED_RATIOS

    known = {"model": [model.name for model in catalog().models], "ratio": list(NAMED_RATIOS), "language": ["en", "zh"]}
    return known.get(argument, [])


def _uri(group: str, name: str) -> str:
    return f"{SCHEME}{group}/{name}"


def _title(text: str) -> str:
    return text.splitlines()[0].lstrip("# ").removeprefix("title:").strip()
