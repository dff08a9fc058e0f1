"""How each host is started: one prompt without a person, on a model at a loopback address, with our server.

In: an empty folder, the model's address, how to start the server. Out: a command line and its environment; the host's
own settings are files in that folder. Never in here: what the host is asked, what is true of it.

Options as the programs of November 2026 take them; `installed.PACKAGES` names their versions.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.hosts import installed

PROMPT = "Please make the picture of the alley."
_NO_PROXY = {"HTTPS_PROXY": "http://127.0.0.1:9", "HTTP_PROXY": "http://127.0.0.1:9", "NO_PROXY": "127.0.0.1,localhost"}
"""Whatever a host wants of the internet, it does not get."""


@dataclass(frozen=True, slots=True)
class Server:
    """How a host starts our server. `give_up_seconds`: how long it waits for a call; None: as it does by itself."""

    command: Sequence[str]
    environ: Mapping[str, str]
    give_up_seconds: int | None = None


@dataclass(frozen=True, slots=True)
class Launch:
    """A host's command line and its environment."""

    words: Sequence[str]
    environ: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Host:
    """One program. `launch` writes its settings into a folder and says how it is started there."""

    name: str
    package: str
    launch: Callable[[Path, str, Server], Launch]

    @property
    def version(self) -> str:
        """The version that is started."""
        return installed.versions()[self.package]


def environ_of(launch: Launch, home: Path) -> dict[str, str]:
    """A host's whole environment: nothing of the person who runs this, no way out of the machine."""
    path = installed.search_path()
    usual = {"PATH": path, "HOME": str(home), "LANG": "C.UTF-8", "TERM": "dumb", "CI": "1", "NO_COLOR": "1"}
    return {**usual, **_NO_PROXY, **launch.environ}


def _claude(home: Path, base: str, server: Server) -> Launch:
    limit = {} if server.give_up_seconds is None else {"timeout": server.give_up_seconds * 1000}
    entry = {"command": server.command[0], "args": server.command[1:], "env": server.environ, **limit}
    settings = _write(home / "mcp.json", {"mcpServers": {"seedframe": entry}})
    words = ["claude", "-p", PROMPT, "--mcp-config", str(settings), "--strict-mcp-config"]
    environ = {
        "ANTHROPIC_BASE_URL": base,
        "ANTHROPIC_API_KEY": "sk-ant-loopback",
        "CLAUDE_CONFIG_DIR": str(home / "claude"),
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "DISABLE_AUTOUPDATER": "1",
    }
    return Launch([*words, "--allowedTools", "mcp__seedframe"], environ)


def _codex(home: Path, base: str, server: Server) -> Launch:
    limit = {} if server.give_up_seconds is None else {"tool_timeout_sec": server.give_up_seconds}
    settings = {
        "model": "gpt-5.1-codex",
        "model_provider": "loopback",
        "model_providers.loopback.name": "loopback",
        "model_providers.loopback.base_url": f"{base}/v1",
        "model_providers.loopback.wire_api": "responses",
        "model_providers.loopback.env_key": "LOOPBACK_KEY",
        "mcp_servers.seedframe.command": server.command[0],
        "mcp_servers.seedframe.args": list(server.command[1:]),
        **{f"mcp_servers.seedframe.env.{name}": value for name, value in server.environ.items()},
        **{f"mcp_servers.seedframe.{name}": value for name, value in limit.items()},
    }
    given = [word for name, value in settings.items() for word in ("-c", f"{name}={json.dumps(value)}")]
    words = ["codex", "exec", "--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox", *given, PROMPT]
    (home / "codex").mkdir(exist_ok=True)
    return Launch(words, {"CODEX_HOME": str(home / "codex"), "LOOPBACK_KEY": "loopback"})


def _gemini(home: Path, base: str, server: Server) -> Launch:
    limit = {} if server.give_up_seconds is None else {"timeout": server.give_up_seconds * 1000}
    entry = {"command": server.command[0], "args": server.command[1:], "env": server.environ, "trust": True, **limit}
    settings = {
        "security": {"auth": {"selectedType": "gemini-api-key"}, "folderTrust": {"enabled": False}},
        "general": {"enableAutoUpdate": False, "disableAutoUpdate": True},
        "privacy": {"usageStatisticsEnabled": False},
        "telemetry": {"enabled": False},
        "mcpServers": {"seedframe": entry},
    }
    _write(home / ".gemini" / "settings.json", settings)
    environ = {"GEMINI_API_KEY": "loopback", "GOOGLE_GEMINI_BASE_URL": base, "GEMINI_CLI_TRUST_WORKSPACE": "true"}
    return Launch(["gemini", "-m", "gemini-2.5-flash", "--yolo", "-p", PROMPT], environ)


def _opencode(home: Path, base: str, server: Server) -> Launch:
    limit = {} if server.give_up_seconds is None else {"timeout": server.give_up_seconds * 1000}
    entry = {"type": "local", "command": list(server.command), "environment": server.environ, "enabled": True, **limit}
    seeing = {"attachment": True, "modalities": {"input": ["text", "image"], "output": ["text"]}}
    room = {"limit": {"context": 200_000, "output": 8_000}}
    provider = {
        "npm": "@ai-sdk/openai-compatible",
        "options": {"baseURL": f"{base}/v1", "apiKey": "loopback"},
        "models": {"alley": {"name": "alley", "tool_call": True, **seeing, **room}},
    }
    settings = {
        "model": "loopback/alley",
        "small_model": "loopback/alley",
        "provider": {"loopback": provider},
        "mcp": {"seedframe": entry},
        "permission": "allow",
        "autoupdate": False,
        "share": "disabled",
    }
    environ = {
        "OPENCODE_CONFIG": str(_write(home / "opencode.json", settings)),
        "OPENCODE_DISABLE_AUTOUPDATE": "1",
        "OPENCODE_DISABLE_MODELS_FETCH": "1",
        "OPENCODE_DISABLE_DEFAULT_PLUGINS": "1",
        "OPENCODE_DISABLE_LSP_DOWNLOAD": "1",
    }
    return Launch(["opencode", "run", "-m", "loopback/alley", PROMPT], environ)


def _write(path: Path, document: Mapping[str, Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, ensure_ascii=False, indent=1), encoding="utf-8")
    return path


HOSTS = (
    Host("Claude Code", "@anthropic-ai/claude-code", _claude),
    Host("Codex", "@openai/codex", _codex),
    Host("Gemini CLI", "@google/gemini-cli", _gemini),
    Host("opencode", "opencode-ai", _opencode),
)
