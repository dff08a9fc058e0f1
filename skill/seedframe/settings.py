"""The settings: environment variables, read once by an entry point and frozen.

In: a mapping of environment variables. Out: `Settings`, or NotConfigured naming key, value and what is expected.
Never in here: reading `os.environ` by itself, a secret in a message, a check that a key works.
"""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from seedframe.errors import NotConfigured
from seedframe.limits import limits
from seedframe.messages import LANGUAGES, Language, Message
from seedframe.object_places import is_place, local_folder

T = TypeVar("T")
NetworkRange = ipaddress.IPv4Network | ipaddress.IPv6Network

FAKE_IPS = ("198.18.0.0/15", "fc00::/18", "fdfe:dcba:9876::/64")
"""The default ranges from which Clash, sing-box and similar programs answer names while they capture all traffic."""


@dataclass(frozen=True, slots=True)
class Money:
    """An amount in a currency; `currency` None means the backend's own."""

    amount: Decimal
    currency: str | None = None


@dataclass(frozen=True, slots=True)
class Settings:
    """What a person configured. `environ` keeps the variables that backends name (keys and base addresses)."""

    backend: str = "ark"
    model: str = "5.0-lite"
    ratio: str | None = None
    output_dir: Path = Path("pictures")
    input_roots: tuple[Path, ...] = ()
    journal: Path = Path("journal.sqlite3")
    keep_history: float | None = None
    object_cache: Path = Path("objects")
    object_cache_mb: float = 2_000
    object_endpoint: str | None = None
    object_public_url: str | None = None
    timeout: float = 600.0
    download_timeout: float = field(default_factory=lambda: float(limits().download_seconds))
    fake_ips: tuple[NetworkRange, ...] = ()
    endpoints: Mapping[str, str] = field(default_factory=dict)
    budget: Money | None = None
    confirm_above: Money | None = None
    prices: Mapping[str, Decimal] = field(default_factory=dict)
    images_per_minute: int | None = None
    response_format: str | None = None
    strict_prompts: bool = False
    preview: str = "small"
    answer_within: float | None = None
    decode_references: bool = False
    keep_metadata: bool = False
    gateway_keys: str | None = None
    gateway_token: str | None = field(default=None, repr=False)
    gateway_hosts: tuple[str, ...] = ()
    gateway_style: bool = False
    language: Language = "en"
    environ: Mapping[str, str] = field(default_factory=dict, repr=False)
    secrets: tuple[str, ...] = field(init=False, repr=False, compare=False)
    """Values that must never be shown: what looks like a key among the variables, and passwords in addresses."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "secrets", _secrets(self.environ))

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> Settings:
        """Settings from the variables of `SETTINGS` and the keys that backends name.

        Unset, empty and an unfilled placeholder (`${user_config.key}`) are the same.
        """
        given = {name: value.strip() for name, value in environ.items() if not _is_unset(value.strip())}
        values = {row.field: row.parse(row.name, given[row.name]) for row in SETTINGS if row.name in given}
        folders = {name: default() for name, default in _FOLDERS.items() if name not in values}
        values = {**folders, "language": language_of(given), **values}
        values["output_dir"] = local_folder(values["output_dir"], values["object_cache"])
        if "input_roots" not in values:
            values["input_roots"] = _default_roots(values["output_dir"])
        return cls(**values, environ=given)

    def with_roots(self, granted: Sequence[Path]) -> Settings:
        """The same settings with further folders to read from, also for a process that is given our variables."""
        import os

        roots = tuple(dict.fromkeys((*self.input_roots, *granted)))
        variables = {**self.environ, "SEEDFRAME_INPUT_ROOTS": os.pathsep.join(map(str, roots))}
        return replace(self, input_roots=roots, environ=variables)

    def first(self, names: tuple[str, ...]) -> str | None:
        """The first of these variables that is set, as backends name several."""
        return next((self.environ[name] for name in names if name in self.environ), None)


_PLACEHOLDER = re.compile(r"\$\{[\w.:-]+\}")


def _is_unset(value: str) -> bool:
    """Whether a variable is empty, or the placeholder a host passes on for an empty field."""
    return not value or _PLACEHOLDER.fullmatch(value) is not None


_SECRET_ENDINGS = ("_KEY", "_TOKEN", "_SECRET", "_PASSWORD", "_PASSWD", "PGPASSWORD")


def _secrets(environ: Mapping[str, str]) -> tuple[str, ...]:
    named = (value for name, value in environ.items() if name.upper().endswith(_SECRET_ENDINGS))
    return tuple(dict.fromkeys((*named, *filter(None, map(_password, environ.values())))))


def _password(value: str) -> str | None:
    """The password of an address such as a proxy's or a database's; None for anything else."""
    try:
        return urlsplit(value).password if "://" in value else None
    except ValueError:
        return None


@dataclass(frozen=True, slots=True)
class Setting:
    """One row of the documented table: the variable, the field it fills, how it is parsed and what it means."""

    name: str
    field: str
    parse: Callable[[str, str], Any]
    default: str

    @property
    def meaning(self) -> Message:
        """One line for the table in README and `seedframe doctor`."""
        return Message(f"settings.{self.name.lower()}")


def wrong(name: str, got: str, expected: str) -> NotConfigured:
    """The error for a setting that cannot be read."""
    return NotConfigured(Message("settings.wrong", name=name, got=got, expected=expected), facts={"setting": name})


def _text(_name: str, value: str) -> str:
    return value


def _path(name: str, value: str) -> Path:
    try:
        return Path(value).expanduser().absolute()
    except RuntimeError:  # the home of an unknown user
        raise wrong(name, value, "/folder, ~/folder") from None


def _output(name: str, value: str) -> Path:
    """A folder, or a place in an object store as `local_folder` reads it."""
    if not is_place(value):
        return _path(name, value)
    try:
        local_folder(Path(value), Path())
    except ValueError:
        raise wrong(name, value, "/folder, ~/folder, s3://bucket/prefix") from None
    return Path(value)


def _address(name: str, value: str) -> str:
    if not re.fullmatch(r"https?://[^/\s]+\S*", value):
        raise wrong(name, value, "https://tos-s3-cn-beijing.volces.com")
    return value.rstrip("/")


def _names(_name: str, value: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in value.split(",") if part.strip())


def _paths(name: str, value: str) -> tuple[Path, ...]:
    import os

    return tuple(_path(name, part) for part in value.split(os.pathsep) if part)


def _positive(kind: Callable[[str], T], expected: str) -> Callable[[str, str], T]:
    def parse(name: str, value: str) -> T:
        try:
            number = kind(value)
        except (ValueError, InvalidOperation):
            raise wrong(name, value, expected) from None
        if not number > 0:  # type: ignore[operator]
            raise wrong(name, value, expected)
        return number

    return parse


def _flag(name: str, value: str) -> bool:
    known = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}
    if value.lower() not in known:
        raise wrong(name, value, "1, 0")
    return known[value.lower()]


def _money(name: str, value: str) -> Money:
    amount, _, currency = value.partition(" ")
    try:
        money = Money(Decimal(amount), currency.strip().upper() or None)
    except InvalidOperation:
        raise wrong(name, value, "1.00, 1.00 CNY, 0.50 USD") from None
    if not money.amount.is_finite() or money.amount < 0:
        raise wrong(name, value, "1.00, 1.00 CNY, 0.50 USD")
    return money


def _endpoints(name: str, value: str) -> dict[str, str]:
    pairs = [part.partition("=") for part in value.split(",") if part.strip()]
    if not all(endpoint.strip() and model.strip() for endpoint, _, model in pairs):
        raise wrong(name, value, "ep-20260101000000-abcde=4.5,my-gateway-id=5.0-lite")
    return {endpoint.strip(): model.strip() for endpoint, _, model in pairs}


def _prices(name: str, value: str) -> dict[str, Decimal]:
    try:
        return {model: Decimal(str(price)) for model, price in json.loads(value).items()}
    except (ValueError, AttributeError, InvalidOperation):
        raise wrong(name, value, '{"4.5": "0.25"}') from None


def _fake_ips(name: str, value: str) -> tuple[NetworkRange, ...]:
    """Ranges from which a proxy program answers names; only ranges that no real network uses."""
    words = FAKE_IPS[:1] if value.lower() in {"1", "true", "yes", "on"} else value.split(",")
    try:
        ranges = tuple(ipaddress.ip_network(word.strip()) for word in words)
    except ValueError:
        raise wrong(name, value, ", ".join(("1", *FAKE_IPS))) from None
    if not all(any(_within(one, ipaddress.ip_network(fake)) for fake in FAKE_IPS) for one in ranges):
        raise wrong(name, value, ", ".join(("1", *FAKE_IPS)))
    return ranges


def _within(one: NetworkRange, other: NetworkRange) -> bool:
    return one.version == other.version and one.subnet_of(other)  # type: ignore[arg-type]


def _choice(*allowed: str) -> Callable[[str, str], str]:
    def parse(name: str, value: str) -> str:
        if value not in allowed:
            raise wrong(name, value, ", ".join(allowed))
        return value

    return parse


SETTINGS: tuple[Setting, ...] = (
    Setting("SEEDFRAME_BACKEND", "backend", _text, "ark"),
    Setting("SEEDFRAME_MODEL", "model", _text, "5.0-lite"),
    Setting("SEEDFRAME_OUTPUT_DIR", "output_dir", _output, "~/Pictures/seedframe"),
    Setting("SEEDFRAME_RATIO", "ratio", _text, "–"),
    Setting("SEEDFRAME_TIMEOUT", "timeout", _positive(float, "600"), "600"),
    Setting("SEEDFRAME_DOWNLOAD_TIMEOUT", "download_timeout", _positive(float, "120"), "120"),
    Setting("SEEDFRAME_FAKE_IP", "fake_ips", _fake_ips, "–"),
    Setting("SEEDFRAME_INPUT_ROOTS", "input_roots", _paths, ". : output : Desktop : Documents : Downloads : Pictures"),
    Setting("SEEDFRAME_KEEP_METADATA", "keep_metadata", _flag, "0"),
    Setting("SEEDFRAME_ENDPOINTS", "endpoints", _endpoints, "–"),
    Setting("SEEDFRAME_BUDGET", "budget", _money, "–"),
    Setting("SEEDFRAME_CONFIRM_ABOVE", "confirm_above", _money, "–"),
    Setting("SEEDFRAME_PRICES", "prices", _prices, "–"),
    Setting("SEEDFRAME_IPM", "images_per_minute", _positive(int, "500"), "500"),
    Setting("SEEDFRAME_RESPONSE_FORMAT", "response_format", _choice("url", "b64_json"), "–"),
    Setting("SEEDFRAME_STRICT_PROMPTS", "strict_prompts", _flag, "0"),
    Setting("SEEDFRAME_PREVIEW", "preview", _choice("none", "small", "large"), "small"),
    Setting("SEEDFRAME_ANSWER_WITHIN", "answer_within", _positive(float, "50"), "–"),
    Setting("SEEDFRAME_DECODE_REFERENCES", "decode_references", _flag, "0"),
    Setting("SEEDFRAME_JOURNAL", "journal", _path, "~/.local/share/seedframe/journal.sqlite3"),
    Setting("SEEDFRAME_KEEP_HISTORY", "keep_history", _positive(float, "30"), "–"),
    Setting("SEEDFRAME_S3_ENDPOINT", "object_endpoint", _address, "–"),
    Setting("SEEDFRAME_S3_PUBLIC_URL", "object_public_url", _address, "–"),
    Setting("SEEDFRAME_S3_CACHE", "object_cache", _path, "~/.local/share/seedframe/objects"),
    Setting("SEEDFRAME_S3_CACHE_MB", "object_cache_mb", _positive(float, "2000"), "2000"),
    Setting("SEEDFRAME_GATEWAY_KEYS", "gateway_keys", _choice("own", "caller"), "–"),
    Setting("SEEDFRAME_GATEWAY_TOKEN", "gateway_token", _text, "–"),
    Setting("SEEDFRAME_GATEWAY_HOSTS", "gateway_hosts", _names, "–"),
    Setting("SEEDFRAME_GATEWAY_STYLE", "gateway_style", _flag, "0"),
    Setting("SEEDFRAME_LANG", "language", _choice(*LANGUAGES), "locale"),
)
"""Every variable of Seedframe's own, in the order of the table. Keys and base addresses are named by the backends."""


def _pictures_folder() -> Path:
    import platformdirs

    return Path(platformdirs.user_pictures_dir()) / "seedframe"


def _journal_file() -> Path:
    import platformdirs

    return Path(platformdirs.user_data_dir("seedframe", appauthor=False)) / "journal.sqlite3"


def _objects_folder() -> Path:
    import platformdirs

    # Not the folder for caches: a board's record of payments lies beside its pictures, and must outlive a tidying.
    return Path(platformdirs.user_data_dir("seedframe", appauthor=False)) / "objects"


_FOLDERS: Mapping[str, Callable[[], Path]] = {
    "output_dir": _pictures_folder,
    "journal": _journal_file,
    "object_cache": _objects_folder,
}


def _default_roots(output_dir: Path) -> tuple[Path, ...]:
    """The working folder, the output folder and the usual folders of pictures; no home, whole disk or hidden one."""
    import platformdirs

    home = Path.home()
    usual = (
        platformdirs.user_desktop_dir(),
        platformdirs.user_documents_dir(),
        platformdirs.user_downloads_dir(),
        platformdirs.user_pictures_dir(),
    )
    roots = (Path.cwd(), output_dir, *map(Path, usual))
    return tuple(dict.fromkeys(root for root in roots if not _is_too_wide(root, home)))


def _is_too_wide(root: Path, home: Path) -> bool:
    """Whether a working folder is too wide or hidden: hosts start servers in the root, the home or their own folder."""
    hidden = root.is_relative_to(home) and any(name.startswith(".") for name in root.relative_to(home).parts)
    return root in {home, Path(root.anchor)} or hidden


def language_of(environ: Mapping[str, str]) -> Language:
    """The language of the user, even when other settings are wrong."""
    names = ("SEEDFRAME_LANG", "LC_ALL", "LC_MESSAGES", "LANG")
    configured = next((environ[name] for name in names if environ.get(name, "").strip()), "")
    return "zh" if configured.strip().lower().startswith("zh") else "en"
