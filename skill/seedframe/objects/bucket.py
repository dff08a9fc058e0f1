"""One bucket of a store with an S3 interface, through `obstore`.

In: an endpoint and keys from the settings; bytes, keys of objects. Out: objects that are proven to be there, their
bytes, addresses. StoreError for everything a store or a network can do. Never in here: files, names of pictures.

`obstore` (the Rust crate `object_store` in one wheel) and not `fsspec` with `s3fs`: it signs, repeats, sets
conditions, makes signed links, and brings one small package along, where `s3fs` brings aiobotocore, aiohttp and a
botocore of one exact version. It is imported when a bucket is opened.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from importlib.resources import files
from importlib.util import find_spec
from typing import Any
from urllib.parse import quote, urlsplit

from seedframe.errors import NotConfigured, StoreError
from seedframe.messages import Message
from seedframe.object_places import ObjectPlace
from seedframe.settings import Settings

_NAMES = {
    "access_key_id": ("AWS_ACCESS_KEY_ID", "TOS_ACCESS_KEY"),
    "secret_access_key": ("AWS_SECRET_ACCESS_KEY", "TOS_SECRET_KEY"),
    "session_token": ("AWS_SESSION_TOKEN",),
    "region": ("AWS_REGION", "AWS_DEFAULT_REGION"),
}
"""The standard variables of S3's own tools; TOS's after them."""

_ROLES = (
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_EC2_METADATA_SERVICE_ENDPOINT",
)
"""Where a machine that has a role gets its keys. None of them is asked unless it is named."""


@dataclass(frozen=True, slots=True)
class StoredObject:
    """What a store says of an object."""

    key: str
    bytes: int
    etag: str


class Bucket:
    """One bucket. All methods block; callers run them in threads."""

    def __init__(self, place: ObjectPlace, settings: Settings) -> None:
        self._place = place
        self._public = settings.object_public_url
        self._endpoint = settings.object_endpoint
        self._store = _open(place, settings, self._endpoint)

    def put(self, key: str, content: bytes, mime: str, *, replace: bool = False) -> None:
        """Store the bytes and prove that they are there.

        Without `replace` an object of the same name with other bytes is never overwritten: `AlreadyThere`. Stores that
        do not honour conditions are asked before; who may write a name is decided by the payment record anyway.
        """
        import obstore
        from obstore.exceptions import AlreadyExistsError, NotSupportedError

        if not replace and (there := self.head(key)) is not None:
            if self._is(there, content):
                return
            raise AlreadyThere(self._place, key)
        attributes: Any = {"Content-Type": mime}
        with self._errors():
            try:
                mode: Any = "overwrite" if replace else "create"
                put = obstore.put(self._store, key, content, mode=mode, attributes=attributes, use_multipart=False)
            except NotSupportedError:
                put = obstore.put(self._store, key, content, attributes=attributes, use_multipart=False)
            except AlreadyExistsError:
                there = self.head(key)
                if there is not None and self._is(there, content):
                    return
                raise AlreadyThere(self._place, key) from None
        self._prove(key, content, str(put.get("e_tag") or ""))

    def get(self, key: str) -> bytes | None:
        """The bytes of an object; None where there is none."""
        import obstore

        with self._errors():
            try:
                return bytes(obstore.get(self._store, key).bytes())
            except FileNotFoundError:
                return None

    def head(self, key: str) -> StoredObject | None:
        """What the store says of an object; None where there is none."""
        import obstore

        with self._errors():
            try:
                return _described(obstore.head(self._store, key))
            except FileNotFoundError:
                return None

    def listed(self, prefix: str) -> Iterator[StoredObject]:
        """Every object below a prefix, in the order of the keys."""
        import obstore

        with self._errors():
            for some in obstore.list(self._store, prefix or None):
                yield from map(_described, some)

    def address(self, key: str) -> str:
        """Where the object lies on the web, without a signature: for public buckets and for a CDN in front of one."""
        return f"{self._public.rstrip('/') if self._public else self._root()}/{quote(key)}"

    def link(self, key: str) -> str:
        """A link that opens a private object for some days; the public address where one is configured."""
        import obstore

        if self._public:
            return self.address(key)
        with self._errors():
            return str(obstore.sign(self._store, "GET", key, timedelta(days=_facts()["link_days"])))

    def _root(self) -> str:
        bucket = self._place.bucket
        if self._endpoint is None:
            return f"https://{bucket}.s3.amazonaws.com"
        return _with_bucket(self._endpoint, bucket) if _in_host(self._endpoint) else f"{self._endpoint}/{bucket}"

    def _prove(self, key: str, content: bytes, etag: str) -> None:
        """The store's checksum of what it has, or else its bytes; StoreError where they are others."""
        if etag.strip('"') == _md5(content):
            return
        if self.get(key) != content:
            raise StoreError(Message("objects.not-as-sent", key=key, place=self._place))

    def _is(self, there: StoredObject, content: bytes) -> bool:
        if there.bytes != len(content):
            return False
        return there.etag == _md5(content) or self.get(there.key) == content

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """Everything obstore raises, as StoreError without what a store wrote into it at length."""
        from obstore.exceptions import BaseError

        try:
            yield
        except (BaseError, OSError) as error:
            why = _why(error)
            raise StoreError(
                Message("objects.failed", place=self._place, why=why),
                advice=Message("objects.failed-advice"),
                facts={"place": str(self._place)},
            ) from error


class AlreadyThere(StoreError):
    """An object of that name holds other bytes and was left as it is."""

    def __init__(self, place: ObjectPlace, key: str) -> None:
        super().__init__(Message("objects.already-there", place=place, key=key))


def _open(place: ObjectPlace, settings: Settings, endpoint: str | None) -> Any:
    if find_spec("obstore") is None:
        raise NotConfigured(
            Message("objects.not-installed", place=place), advice=Message("objects.not-installed-advice")
        )
    from obstore.store import S3Store

    facts = _facts()
    config: Any = {name: value for name, names in _NAMES.items() if (value := settings.first(names))}
    if not {"access_key_id", "secret_access_key"} <= config.keys() and settings.first(_ROLES) is None:
        raise NotConfigured(Message("objects.no-key", place=place), advice=Message("objects.no-key-advice"))
    config.setdefault("region", _region(endpoint))
    if endpoint is not None:
        inside = _in_host(endpoint)
        config["endpoint"] = _with_bucket(endpoint, place.bucket) if inside else endpoint
        config["virtual_hosted_style_request"] = inside
    return S3Store(
        place.bucket,
        config=config,
        client_options={
            "allow_http": bool(endpoint and endpoint.startswith("http://")),
            "connect_timeout": timedelta(seconds=facts["connect_seconds"]),
            "timeout": timedelta(seconds=facts["request_seconds"]),
        },
        retry_config={
            "max_retries": facts["retries"],
            "retry_timeout": timedelta(seconds=facts["retry_seconds"]),
        },
    )


def _region(endpoint: str | None) -> str:
    found = re.search(_facts()["region_in_host"], urlsplit(endpoint or "").netloc)
    return found["region"] if found else str(_facts()["region"])


def _in_host(endpoint: str) -> bool:
    """Whether this store wants the bucket in front of its host."""
    host = urlsplit(endpoint).hostname or ""
    return any(host == name or host.endswith(f".{name}") for name in _facts()["bucket_in_host"])


def _with_bucket(endpoint: str, bucket: str) -> str:
    scheme, _, host = endpoint.partition("://")
    return endpoint if host.startswith(f"{bucket}.") else f"{scheme}://{bucket}.{host}"


def _described(meta: Mapping[str, Any]) -> StoredObject:
    return StoredObject(str(meta["path"]), int(meta["size"]), str(meta.get("e_tag") or "").strip('"'))


def _md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def _why(error: Exception) -> str:
    """The first line, without the bodies that stores answer with."""
    first = str(error).strip().partition("\n")[0]
    return (first or type(error).__name__)[:300]


@cache
def _facts() -> dict[str, Any]:
    file = files("seedframe") / "data" / "object_stores.json"
    content: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return content
