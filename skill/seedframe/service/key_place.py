"""Checks whether a key and an address fit the backend they are set for: keys of plans and of pay-as-you-go differ.

In: settings, a backend, the catalog. Out: messages about what looks misplaced; only the service knows for sure.
Never in here: a key in a sentence, a network.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from seedframe.catalog import Backend, Catalog
from seedframe.messages import Message
from seedframe.settings import Settings


def misplaced(settings: Settings, backend: Backend, known: Catalog) -> tuple[Message, ...]:
    """Warnings about the key and the address that are set for `backend`; none when nothing looks odd."""
    found = (_key(settings, backend, known), _address(settings, backend, known))
    return tuple(message for message in found if message is not None)


def _key(settings: Settings, backend: Backend, known: Catalog) -> Message | None:
    """By the prefix of the key, and by whether the same key is set for another backend."""
    name = next((name for name in backend.key_settings if name in settings.environ), None)
    if name is None:
        return None
    key = settings.environ[name]
    others = [other for other in known.backends if _is_sibling(other, backend)]
    owner = next((other for other in others if other.key_prefix and key.startswith(other.key_prefix)), None)
    if owner is not None:
        words = {"name": name, "begins": owner.key_prefix, "other": owner.title}
        return Message("backends.key-of-other", backend=backend.title, use=owner.name, **words)
    if backend.key_prefix and not key.startswith(backend.key_prefix):
        other = next((other for other in others if other.key_prefix is None), backend)
        words = {"name": name, "begins": backend.key_prefix, "other": other.title}
        return Message("backends.key-without-prefix", backend=backend.title, use=other.name, **words)
    return None


def _address(settings: Settings, backend: Backend, known: Catalog) -> Message | None:
    """By the path of the configured address."""
    name = next((name for name in backend.base_settings if name in settings.environ), None)
    if name is None:
        return None
    try:
        path = urlsplit(settings.environ[name]).path.rstrip("/")
    except ValueError:  # the client reports what is wrong with it
        return None
    others = (other for other in known.backends if _is_sibling(other, backend) and path.startswith(other.prefix))
    owner = next(others, None)
    if owner is None or path.startswith(backend.prefix):
        return None
    return Message("backends.path-of-other", name=name, path=owner.prefix, other=owner.title, use=owner.name)


def _is_sibling(other: Backend, backend: Backend) -> bool:
    """Whether two backends live at the same host under different paths, so that they are easily confused."""
    return other.base_url == backend.base_url and other.prefix != backend.prefix
