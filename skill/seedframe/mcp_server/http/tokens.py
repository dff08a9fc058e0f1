"""Who calls: a bearer token becomes the name of a caller.

In: a file of tokens, or an OAuth 2.1 authorization server that signs them. Out: the SDK's `TokenVerifier`.
Tokens of the file are compared as SHA-256 digests. Never in here: a folder, a price, a token in a message.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
from mcp.server.auth.provider import AccessToken, TokenVerifier

from seedframe.errors import NotConfigured
from seedframe.messages import Message

SHORTEST_TOKEN = 24
DIGEST = "sha256:"
ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
METADATA_PATHS = ("/.well-known/oauth-authorization-server", "/.well-known/openid-configuration")
METADATA_SECONDS = 10.0
_NAME = re.compile(r"[a-z0-9](?:[a-z0-9_-]{0,38}[a-z0-9])?")
_HEX = re.compile(r"[0-9a-f]{64}")


class FileTokens:
    """Callers of a file: one `name token` or `name sha256:<hex>` a line; `#` begins a comment.

    A name may have several tokens, so that one can replace another without a gap.
    """

    def __init__(self, names: Mapping[str, str]) -> None:
        self._names = dict(names)

    @classmethod
    def read(cls, path: Path) -> FileTokens:
        """NotConfigured names the line that cannot be understood, never its token."""
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError):
            raise NotConfigured(Message("http.tokens-unreadable", path=path)) from None
        names: dict[str, str] = {}
        for number, line in enumerate(lines, 1):
            words = line.partition("#")[0].split()
            if words:
                digest, name = _entry(words, path, number)
                names[digest] = name
        if not names:
            raise NotConfigured(Message("http.tokens-empty", path=path))
        return cls(names)

    async def verify_token(self, token: str) -> AccessToken | None:
        """The caller of a token; None for one that is not in the file."""
        name = self._names.get(_digest(token))
        return None if name is None else AccessToken(token=token, client_id=name, scopes=[])


class IssuedTokens:
    """JSON web tokens of one authorization server, issued for this server (RFC 8707) and not expired.

    Its keys are loaded for the first token, and again when a token names an unknown key.
    """

    def __init__(self, issuer: str, resource: str) -> None:
        self._issuer = issuer
        self._resource = resource
        self._keys: Any = None
        self._finding = asyncio.Lock()

    async def verify_token(self, token: str) -> AccessToken | None:
        """The caller of a token; None when it is not good, or its issuer cannot be asked."""
        import jwt

        try:
            keys = await self._key_set()
            key = await asyncio.to_thread(keys.get_signing_key_from_jwt, token)
            claims = jwt.decode(
                token,
                key,
                algorithms=list(ALGORITHMS),
                audience=[self._resource, self._resource.removesuffix("/mcp")],
                issuer=[self._issuer, f"{self._issuer}/"],
                options={"require": ["exp", "iss", "aud", "sub"]},
            )
        except (jwt.PyJWTError, httpx.HTTPError, ValueError, KeyError):
            return None
        return AccessToken(
            token=token,
            client_id=f"oauth-{_digest(claims['iss'].rstrip('/') + ' ' + claims['sub'])[:24]}",
            scopes=str(claims.get("scope", "")).split(),
            expires_at=int(claims["exp"]),
            subject=claims["sub"],
            claims=claims,
        )

    async def _key_set(self) -> Any:
        from jwt import PyJWKClient

        async with self._finding:
            if self._keys is None:
                self._keys = PyJWKClient(await self._key_address(), timeout=int(METADATA_SECONDS))
            return self._keys

    async def _key_address(self) -> str:
        async with httpx.AsyncClient(timeout=METADATA_SECONDS) as client:
            for path in METADATA_PATHS:
                answer = await client.get(self._issuer + path)
                if answer.is_success:
                    return str(answer.json()["jwks_uri"])
        raise ValueError(self._issuer)


class AnyOf:
    """The first verifier that knows a token decides."""

    def __init__(self, *verifiers: TokenVerifier) -> None:
        self._verifiers = verifiers

    async def verify_token(self, token: str) -> AccessToken | None:
        """The caller of a token; None when nobody knows it."""
        for verifier in self._verifiers:
            known = await verifier.verify_token(token)
            if known is not None:
                return known
        return None


def _entry(words: list[str], path: Path, number: int) -> tuple[str, str]:
    """Digest and name of one line."""
    if len(words) != 2 or not _NAME.fullmatch(words[0]):
        raise NotConfigured(Message("http.tokens-line", path=path, line=number))
    name, token = words
    if token.startswith(DIGEST):
        digest = token.removeprefix(DIGEST).lower()
        if not _HEX.fullmatch(digest):
            raise NotConfigured(Message("http.tokens-line", path=path, line=number))
        return digest, name
    if len(token) < SHORTEST_TOKEN:
        raise NotConfigured(Message("http.tokens-short", path=path, line=number, least=SHORTEST_TOKEN))
    return _digest(token), name


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
