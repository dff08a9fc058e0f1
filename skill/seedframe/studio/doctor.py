"""Checks whether a picture can be made: key, address, folder, and a free probe that asks for a 1x1 picture.

In: settings and a transport. Out: findings. The probe is refused for its size when key and model are good, so it is
never billed (recorded 2026). Never in here: a paid call, a key in a sentence.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx

from seedframe.catalog import Backend, catalog
from seedframe.errors import NotConfigured, SeedreamError
from seedframe.images import turbojpeg_version
from seedframe.messages import Language, Message
from seedframe.service.client import base_url, connected
from seedframe.service.key_place import misplaced
from seedframe.service.network.addresses import is_fake, is_public
from seedframe.service.network.certificates import VARIABLES, Authorities, authorities
from seedframe.service.network.fetch import NotFetched, resolved
from seedframe.service.network.proxies import Proxies, Proxy
from seedframe.settings import Settings
from seedframe.studio.store import Store


@dataclass(frozen=True, slots=True)
class Condition:
    """The outcome of one check."""

    name: str
    good: bool
    message: Message

    def as_dict(self, language: Language) -> dict[str, Any]:
        """JSON-ready."""
        return {"name": self.name, "good": self.good, "message": self.message.text(language)}


async def examine(settings: Settings, transport: httpx.AsyncBaseTransport | None) -> list[Condition]:
    """Everything a first call needs, in the order in which it would fail."""
    backend = catalog().backend(settings.backend)
    found = [_key(settings, backend), _base(settings, backend), await asyncio.to_thread(_folder, settings)]
    found += [Condition("key-place", True, message) for message in misplaced(settings, backend, catalog())]
    if transport is None and found[1].good:
        found += await _connection(settings, backend)
    if all(condition.good for condition in found):
        found += await _probes(settings, backend, transport)
    library = turbojpeg_version()
    found.append(Condition("turbojpeg", True, Message("diagnosis.turbojpeg", version=library or "–")))
    return found


async def _connection(settings: Settings, backend: Backend) -> list[Condition]:
    """Proxy, certificates, resolver and a first answer: everything between this machine and the service."""
    try:
        url = base_url(settings, backend)
        proxy = Proxies.read(settings.environ).of(url)
        found = [Condition("proxy", True, _proxy_in_use(url, proxy))]
        if url.startswith("https:"):
            known = await asyncio.to_thread(authorities, settings.environ)
            found.append(Condition("certificates", True, _certificates_in_use(known)))
        if proxy is None:
            found += await _resolver(settings, url)
        async with connected(settings, backend) as client:
            status = await client.reach()
    except SeedreamError as error:
        why = Message("network.why-with-advice", why=error.message, advice=error.advice or "")
        return [Condition("connection", False, why)]
    return [*found, Condition("connection", True, Message("network.reached", url=url, status=status))]


def _proxy_in_use(url: str, proxy: Proxy | None) -> Message:
    if proxy is None:
        return Message("network.direct", url=url)
    return Message("network.through", url=url, proxy=str(proxy), source=proxy.source)


def _certificates_in_use(known: Authorities) -> Message:
    if known.source in VARIABLES:
        return Message("network.certificates-variable", source=known.source, place=known.place)
    return Message(f"network.certificates-{known.source}", place=known.place)


async def _resolver(settings: Settings, url: str) -> list[Condition]:
    """A note about fake addresses from a proxy program; the service can be reached nevertheless."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    try:
        addresses = await resolved(host, parts.port or 443)
    except NotFetched:
        return []  # the connection check reports it
    fake = next((address for address in addresses if is_fake(address)), None)
    if fake is None:
        return []
    allowed = is_public(fake, settings.fake_ips)
    key = "network.resolver-fake-allowed" if allowed else "network.resolver-fake"
    return [Condition("resolver", True, Message(key, host=host, address=fake))]


def _key(settings: Settings, backend: Backend) -> Condition:
    if not backend.key_settings:
        return Condition("key", True, Message("diagnosis.no-key-needed", backend=backend.title))
    name = next((name for name in backend.key_settings if name in settings.environ), None)
    if name is None:
        return Condition("key", False, Message("diagnosis.key-missing", name=backend.key_settings[0]))
    return Condition("key", True, Message("diagnosis.key-set", name=name))


def _base(settings: Settings, backend: Backend) -> Condition:
    try:
        return Condition("base", True, Message("diagnosis.base", url=base_url(settings, backend)))
    except NotConfigured as error:
        return Condition("base", False, error.message)


def _folder(settings: Settings) -> Condition:
    store = Store(settings.output_dir)
    try:
        probe = store.prepare() / "doctor.part"
        probe.write_bytes(b"")
        probe.unlink()
        store.tidy()
    except (SeedreamError, OSError) as error:
        return Condition("folder", False, Message("diagnosis.folder-bad", path=settings.output_dir, why=str(error)))
    return Condition("folder", True, Message("diagnosis.folder", path=settings.output_dir))


async def _probes(settings: Settings, backend: Backend, transport: httpx.AsyncBaseTransport | None) -> list[Condition]:
    sold = [model for model in catalog().models if model.ids_on(backend)]
    if not backend.free_probe:
        return [Condition("probe", True, Message("diagnosis.no-probe", backend=backend.title))]
    async with connected(settings, backend, transport=transport) as client:
        return [await _probe(client, model.name, settings, backend) for model in sold]


async def _probe(client: Any, name: str, settings: Settings, backend: Backend) -> Condition:
    offer = catalog().offer(name, backend, settings.endpoints)
    try:
        refused = await client.probe(offer)
    except SeedreamError as error:
        return Condition(f"model {name}", False, error.message)
    if refused is None:
        return Condition(f"model {name}", True, Message("diagnosis.model-ready", model=name, id=offer.id))
    is_default = catalog().model(settings.model).name == name
    why = Message("diagnosis.model-refused", model=name, id=offer.id, why=refused.message)
    return Condition(f"model {name}", not is_default, why)
