"""An OAuth 2.1 server decides who calls: clients learn where it is, and its tokens are taken when meant for us."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from http_host import MODERN, modern_call, served
from seedframe.emulator import running

PUBLIC = "https://pictures.example.com"


@dataclass(frozen=True)
class Issuer:
    base: str
    key: RSAPrivateKey

    def token(self, **changes: Any) -> str:
        claims = {
            "iss": self.base,
            "sub": "carol",
            "aud": f"{PUBLIC}/mcp",
            "exp": time.time() + 60,
            **changes,
        }
        return jwt.encode(claims, self.key, algorithm="RS256", headers={"kid": "first"})


@pytest.fixture(scope="module")
def issuer() -> Iterator[Issuer]:
    key = generate_private_key(65537, 2048)
    public = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key()))

    async def metadata(request: Request) -> JSONResponse:
        base = str(request.base_url).rstrip("/")
        return JSONResponse({"issuer": base, "jwks_uri": f"{base}/keys"})

    async def keys(_request: Request) -> JSONResponse:
        return JSONResponse({"keys": [{**public, "kid": "first", "use": "sig", "alg": "RS256"}]})

    app = Starlette(routes=[Route("/.well-known/oauth-authorization-server", metadata), Route("/keys", keys)])
    with running(app) as base:
        yield Issuer(base, key)


@pytest.fixture(scope="module")
def base(issuer: Issuer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server that knows itself as PUBLIC."""
    home = tmp_path_factory.mktemp("oauth")
    with served(home, arguments=("--issuer", issuer.base, "--public-url", PUBLIC)) as remote:
        yield remote.base


def call(base: str, token: str | None) -> httpx.Response:
    headers = {**MODERN, "mcp-method": "tools/call", "mcp-name": "style_prompt"}
    if token:
        headers["authorization"] = f"Bearer {token}"
    return httpx.post(
        f"{base}/mcp", headers=headers, json=modern_call("style_prompt", {"prompt": "一只猫"}), timeout=30
    )


@pytest.mark.slow
def test_a_client_learns_where_tokens_come_from(base: str, issuer: Issuer):
    refused = call(base, None)
    told = httpx.get(f"{base}/.well-known/oauth-protected-resource/mcp").raise_for_status().json()

    assert refused.status_code == 401
    assert (
        f'resource_metadata="{PUBLIC}/.well-known/oauth-protected-resource/mcp"' in refused.headers["www-authenticate"]
    )
    assert (told["resource"], told["authorization_servers"]) == (f"{PUBLIC}/mcp", [f"{issuer.base}/"])


@pytest.mark.slow
def test_its_token_is_taken(base: str, issuer: Issuer):
    assert call(base, issuer.token()).status_code == 200


@pytest.mark.slow
@pytest.mark.parametrize(
    "changes",
    [
        {"aud": "https://other.example.com/mcp"},
        {"iss": "https://other.example.com"},
        {"exp": 1_000},
        {"sub": None},
    ],
)
def test_a_token_for_another_server_or_time_is_not(changes: dict[str, Any], base: str, issuer: Issuer):
    assert call(base, issuer.token(**changes)).status_code == 401


@pytest.mark.slow
def test_a_token_that_another_key_signed_is_not(base: str, issuer: Issuer):
    forged = Issuer(issuer.base, generate_private_key(65537, 2048))

    assert call(base, forged.token()).status_code == 401
