"""Every package's manifest, computed from one set of facts, so that no two say different names or versions.

In: what `pyproject.toml` and the data say (`Facts`). Out: path → JSON document, for the plugin tree (Claude Code,
Codex, Cursor, Gemini, Agent Plugins), the MCP Registry and the `.mcpb` bundle.
Never in here: a file written, a tool started.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Document = Mapping[str, Any]

REGISTRY_SCHEMA = "https://static.modelcontextprotocol.io/schemas/2025-12-11/server.schema.json"
PLUGIN_SCHEMA = "https://agent-plugins.org/schemas/1.0.0/plugin.schema.json"
PLUGIN_MCP_SCHEMA = "https://agent-plugins.org/schemas/1.0.0/mcp.schema.json"
LONGEST_REGISTRY_DESCRIPTION = 100
OUTPUT = "SEEDFRAME_OUTPUT_DIR"


@dataclass(frozen=True, slots=True)
class Variable:
    """A variable a host asks its user for: `title` and `description` for people, `secret` where it must not show."""

    name: str
    title: str
    description: str
    secret: bool = False

    @property
    def option(self) -> str:
        """Its name in a host's own configuration."""
        return self.name.lower()


@dataclass(frozen=True, slots=True)
class Facts:
    """What all packages say alike."""

    name: str
    version: str
    title: str
    description: str
    keywords: tuple[str, ...]
    license: str
    requires_python: str
    dependencies: tuple[str, ...]
    homepage: str
    registry_name: str
    hosts: tuple[str, ...]
    variables: tuple[Variable, ...]
    tools: tuple[tuple[str, str], ...]

    @property
    def uvx(self) -> list[str]:
        """Arguments of `uvx` that start the server in exactly this version."""
        return ["--from", f"{self.name}[storyboard]=={self.version}", self.name, "serve"]

    @property
    def head(self) -> dict[str, Any]:
        """The fields plugin manifests share."""
        return {
            "name": self.name,
            "version": self.version,
            "description": self.description,
            "author": {"name": self.title, "url": self.homepage},
            "homepage": self.homepage,
            "repository": self.homepage,
            "license": self.license,
            "keywords": list(self.keywords),
        }


def plugin_manifests(facts: Facts) -> dict[str, Document]:
    """The manifests of the plugin tree, by path in it."""
    server = {"command": "uvx", "args": facts.uvx}
    asked = {variable.name: f"${{user_config.{variable.option}}}" for variable in facts.variables}
    return {
        "plugin.json": {"$schema": PLUGIN_SCHEMA, **facts.head},
        "mcp.json": {"$schema": PLUGIN_MCP_SCHEMA, "mcpServers": {facts.name: {"type": "stdio", **server}}},
        ".mcp.json": {"mcpServers": {facts.name: {**server, "env": asked}}},
        ".claude-plugin/plugin.json": _claude(facts),
        ".claude-plugin/marketplace.json": _claude_market(facts),
        ".codex-plugin/plugin.json": {**facts.head, "skills": "./skills/", "mcpServers": "./codex.mcp.json"},
        "codex.mcp.json": {"mcpServers": {facts.name: _codex(facts)}},
        ".agents/plugins/marketplace.json": _codex_market(facts),
        ".cursor-plugin/plugin.json": {**facts.head, "skills": "./skills/", "mcpServers": "./mcp.json"},
        "gemini-extension.json": _gemini(facts),
        "server.json": registry_entry(facts),
    }


def _claude(facts: Facts) -> Document:
    options = {
        variable.option: {
            "type": "string",
            "title": variable.title,
            "description": variable.description,
            "sensitive": variable.secret,
            "required": False,
        }
        for variable in facts.variables
    }
    return {**facts.head, "userConfig": options}


def _claude_market(facts: Facts) -> Document:
    plugin = {"name": facts.name, "source": "./", "description": facts.description, "version": facts.version}
    return {
        "name": facts.name,
        "owner": {"name": facts.title},
        "metadata": {"description": facts.description, "version": facts.version},
        "plugins": [plugin],
    }


def _codex_market(facts: Facts) -> Document:
    plugin = {
        "name": facts.name,
        "source": {"source": "local", "path": "./"},
        "policy": {"installation": "AVAILABLE", "authentication": "ON_INSTALL"},
        "category": "Design",
    }
    return {"name": facts.name, "interface": {"displayName": facts.title}, "plugins": [plugin]}


def _codex(facts: Facts) -> Document:
    """Codex passes a server only the variables it names; `required` makes a server that fails visible at once."""
    return {
        "command": "uvx",
        "args": facts.uvx,
        "env_vars": [variable.name for variable in facts.variables],
        "required": True,
        "startup_timeout_sec": 60,
        "tool_timeout_sec": 600,
    }


def _gemini(facts: Facts) -> Document:
    settings = [
        {
            "name": variable.title,
            "description": variable.description,
            "envVar": variable.name,
            "sensitive": variable.secret,
        }
        for variable in facts.variables
    ]
    return {
        "name": facts.name,
        "version": facts.version,
        "description": facts.description,
        "contextFileName": "GEMINI.md",
        "mcpServers": {facts.name: {"command": "uvx", "args": facts.uvx, "timeout": 600_000}},
        "settings": settings,
    }


def registry_entry(facts: Facts) -> Document:
    """`server.json` for the MCP Registry."""
    variables = [
        {"name": variable.name, "description": variable.description, "isRequired": False, "isSecret": variable.secret}
        for variable in facts.variables
    ]
    package = {
        "registryType": "pypi",
        "registryBaseUrl": "https://pypi.org",
        "identifier": facts.name,
        "version": facts.version,
        "runtimeHint": "uvx",
        "transport": {"type": "stdio"},
        "packageArguments": [{"type": "positional", "value": "serve"}],
        "environmentVariables": variables,
    }
    return {
        "$schema": REGISTRY_SCHEMA,
        "name": facts.registry_name,
        "title": facts.title,
        "description": facts.description,
        "version": facts.version,
        "websiteUrl": facts.homepage,
        "repository": {"url": facts.homepage, "source": "github"},
        "packages": [package],
    }


def bundle_manifest(facts: Facts) -> Document:
    """`manifest.json` of the `.mcpb` bundle: type `uv`, sources inside, dependencies from the index."""
    options: dict[str, Any] = {
        variable.option: {
            "type": "directory" if variable.name == OUTPUT else "string",
            "title": variable.title,
            "description": variable.description,
            **({"default": "${HOME}/Pictures"} if variable.name == OUTPUT else {"sensitive": variable.secret}),
            "required": False,
        }
        for variable in facts.variables
    }
    command = {
        "command": "uv",
        "args": ["run", "--directory", "${__dirname}", "src/server.py"],
        "env": {variable.name: f"${{user_config.{variable.option}}}" for variable in facts.variables},
    }
    return {
        "manifest_version": "0.4",
        "name": facts.name,
        "display_name": facts.title,
        "version": facts.version,
        "description": facts.description,
        "author": {"name": facts.title, "url": facts.homepage},
        "repository": {"type": "git", "url": facts.homepage},
        "homepage": facts.homepage,
        "license": facts.license,
        "icon": "icon.png",
        "keywords": list(facts.keywords),
        "privacy_policies": [f"{facts.homepage}/blob/main/SECURITY.md"],
        "server": {"type": "uv", "entry_point": "src/server.py", "mcp_config": command},
        "user_config": options,
        "tools": [{"name": name, "description": description} for name, description in facts.tools],
        "compatibility": {
            "platforms": ["darwin", "win32", "linux"],
            "runtimes": {"python": facts.requires_python},
        },
    }


def bundle_project(facts: Facts) -> str:
    """`pyproject.toml` of the bundle: the same dependencies, nothing to build."""
    listed = "".join(f"    {dependency!r},\n" for dependency in facts.dependencies)
    return (
        f'[project]\nname = "{facts.name}-bundle"\nversion = "{facts.version}"\n'
        f'requires-python = "{facts.requires_python}"\ndependencies = [\n{listed}]\n\n[tool.uv]\npackage = false\n'
    )
