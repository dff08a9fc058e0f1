"""Shell completion of options: models, backends, files.

In: the beginning of a word. Out: the words that begin so. Never in here: a network.
"""

from __future__ import annotations

import click
from click.shell_completion import CompletionItem


def complete_model(_context: click.Context, _parameter: click.Parameter, begun: str) -> list[CompletionItem]:
    """Models by their short names, with their titles."""
    from seedframe.catalog import catalog

    return [CompletionItem(model.name, help=model.title) for model in catalog().models if model.name.startswith(begun)]


def complete_backend(_context: click.Context, _parameter: click.Parameter, begun: str) -> list[CompletionItem]:
    """Backends, with their titles."""
    from seedframe.catalog import catalog

    known = catalog().backends
    return [CompletionItem(backend.name, help=backend.title) for backend in known if backend.name.startswith(begun)]


def complete_file(_context: click.Context, _parameter: click.Parameter, begun: str) -> list[CompletionItem]:
    """Files, by the shell itself."""
    return [CompletionItem(begun, type="file")]
