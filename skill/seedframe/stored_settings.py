"""What `seedframe setup` stores for a person: a backend and a key, in a private file or the system's keyring.

In: an environment. Out: the same with the stored values; a variable that is set wins. The key is in the keyring where
the `keyring` package is installed and works, else in the file, which only its owner may read.
Never in here: a question, a check that a key works.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from seedframe.front.kept_answers import config_file
from seedframe.private_files import make_private_folder, open_private

SERVICE = "seedframe"
_VARIABLES, _IN_KEYRING = "variables", "keyring"


def with_stored(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment, with the stored values of variables that are not set."""
    kept = _read(environ)
    stored = {**dict(kept.get(_VARIABLES, {}))}
    for name in kept.get(_IN_KEYRING, ()):
        if not environ.get(name, "").strip() and (secret := _from_keyring(name)):
            stored[name] = secret
    given = {name: value for name, value in environ.items() if value.strip()}
    return {**stored, **given}


def store(environ: Mapping[str, str], variables: Mapping[str, str], secrets: Mapping[str, str]) -> str:
    """Store them beside earlier ones; returns where the secrets are: `keyring`, or the file. OSError."""
    path = Path(config_file(environ))
    kept = _read(environ)
    plain = {**kept.get(_VARIABLES, {}), **variables}
    hidden = {name for name, value in secrets.items() if _to_keyring(name, value)}
    plain = {name: value for name, value in plain.items() if name not in hidden}
    plain |= {name: value for name, value in secrets.items() if name not in hidden}
    ring = sorted((set(kept.get(_IN_KEYRING, ())) - secrets.keys()) | hidden)
    make_private_folder(path.parent)
    fresh = path.with_name(f"{path.name}.{os.getpid()}")
    with open(fresh, "w", encoding="utf-8", opener=open_private) as file:
        json.dump({_VARIABLES: plain, _IN_KEYRING: ring}, file, ensure_ascii=False, indent=2)
    fresh.replace(path)
    return "keyring" if hidden == secrets.keys() and secrets else str(path)


def _read(environ: Mapping[str, str]) -> dict[str, Any]:
    try:
        kept = json.loads(Path(config_file(environ)).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return kept if isinstance(kept, dict) else {}


def _to_keyring(name: str, secret: str) -> bool:
    ring = _keyring()
    if ring is None:
        return False
    try:
        ring.set_password(SERVICE, name, secret)
    except ring.errors.KeyringError:  # no place for it, as on a server without a desktop
        return False
    return True


def _from_keyring(name: str) -> str | None:
    ring = _keyring()
    if ring is None:
        return None
    try:
        secret: str | None = ring.get_password(SERVICE, name)
    except ring.errors.KeyringError:
        return None
    return secret


def _keyring() -> Any:
    """The package, where it is installed."""
    try:
        import keyring
        import keyring.errors
    except ImportError:
        return None
    return keyring
