"""The trusted certificates: those named by a variable, or those of the operating system.

In: the environment as a mapping. Out: a TLS context, and the source of its certificates. NotConfigured for a file
that cannot be read. Never in here: a connection, a disabled check.
"""

from __future__ import annotations

import ssl
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from seedframe.errors import NotConfigured
from seedframe.messages import Message

VARIABLES = ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
"""The first that is set decides; it replaces the system's certificates, as it does in other programs."""


@dataclass(frozen=True, slots=True)
class Authorities:
    """A TLS context that checks name and chain; `source` and `place` say where its certificates are from."""

    context: ssl.SSLContext
    source: str
    place: str


def authorities(environ: Mapping[str, str]) -> Authorities:
    """The authorities of an environment."""
    for name in VARIABLES:
        if value := environ.get(name, "").strip():
            return Authorities(_from(name, Path(value).expanduser()), name, value)
    return _of_the_system()


def _from(name: str, path: Path) -> ssl.SSLContext:
    try:
        if path.is_dir():
            context = ssl.create_default_context(capath=str(path))
            _read_all(context, path)
        else:
            context = ssl.create_default_context(cafile=str(path))
    except (OSError, ssl.SSLError) as error:
        why = getattr(error, "reason", None) or error.strerror or type(error).__name__
        raise NotConfigured(
            Message("network.odd-certificates", name=name, got=path, why=why),
            advice=Message("network.odd-certificates-advice", name=name),
            facts={"setting": name},
        ) from error
    return context


def _read_all(context: ssl.SSLContext, folder: Path) -> None:
    """Load the certificates of a folder by content, so that it needs no `openssl rehash`."""
    for path in sorted(folder.iterdir()):
        if path.suffix in {".pem", ".crt", ".cer"} and path.is_file():
            context.load_verify_locations(cafile=str(path))


def _of_the_system() -> Authorities:
    """The operating system's own store; Mozilla's list where the system has none (bare containers)."""
    if sys.platform in {"darwin", "win32"}:
        import truststore

        return Authorities(truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT), _SYSTEM, "–")
    # Not truststore here: on Linux it reads every certificate again at each handshake.
    context = ssl.create_default_context()
    paths = ssl.get_default_verify_paths()
    if context.get_ca_certs() or _hashed(paths.capath):
        return Authorities(context, _SYSTEM, paths.cafile or paths.capath or "–")
    import certifi

    usual = next((place for place in _USUAL_PLACES if Path(place).is_file()), None)
    context.load_verify_locations(cafile=usual or certifi.where())
    return Authorities(context, _SYSTEM if usual else "certifi", usual or certifi.where())


def _hashed(folder: str | None) -> bool:
    """Whether OpenSSL finds certificates in a folder when it needs them: files named by their hash."""
    return folder is not None and Path(folder).is_dir() and any(Path(folder).glob("????????.0"))


_SYSTEM = "system"
_USUAL_PLACES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/ssl/cert.pem",
    "/etc/pki/tls/cert.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/ca-bundle.pem",
)
"""Bundles of distributions whose Python was built elsewhere."""
