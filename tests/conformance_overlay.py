"""The product's HTTP server with what the official conformance suite calls by name laid over it.

`python tests/conformance_overlay.py shipped` serves as `seedframe serve --http` does, `sessions` serves the same MCP
server through the SDK's own HTTP sessions, for the scenarios in which a server asks its client on the way. Both print
their address. Whatever is no fixture is answered by the product.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import warnings
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import anyio
import mcp.types as t
import uvicorn
from mcp import MCPDeprecationWarning, MCPError
from mcp.server.lowlevel import Server
from mcp.server.streamable_http import EventMessage, EventStore
from mcp.server.subscriptions import InMemorySubscriptionBus, ListenHandler, PromptsListChanged, ToolsListChanged

from seedframe.api import in_process_backend
from seedframe.mcp_server.app import build_server
from seedframe.mcp_server.http.callers import shared_studios
from seedframe.mcp_server.http.http_options import http_options
from seedframe.mcp_server.http.serving import serve_http
from seedframe.settings import Settings
from seedframe.studio.pipeline import Studio

CASES = json.loads((Path(__file__).parent / "cases" / "conformance" / "fixtures.json").read_text(encoding="utf-8"))
RETRY_MILLISECONDS = 100
Ask = Callable[[Any, Any, Mapping[str, Any]], Awaitable[Any]]

warnings.simplefilter("ignore", MCPDeprecationWarning)


def block(told: Mapping[str, Any]) -> Any:
    """A content block as the fixture file has it; `{png}` and `{wav}` stand for the smallest such file."""
    text = json.dumps(told).replace("{png}", CASES["png"]).replace("{wav}", CASES["wav"])
    return t.CallToolResult.model_validate({"content": [json.loads(text)]}).content[0]


def words(text: str) -> t.CallToolResult:
    return t.CallToolResult(content=[t.TextContent(type="text", text=text)])


def form(name: str) -> t.ElicitRequest:
    asked = CASES["forms"][name]
    return t.ElicitRequest(params=t.ElicitRequestFormParams(message=asked["message"], requested_schema=asked["schema"]))


def sample(text: str) -> t.CreateMessageRequest:
    message = t.SamplingMessage(role="user", content=t.TextContent(type="text", text=text))
    return t.CreateMessageRequest(params=t.CreateMessageRequestParams(messages=[message], max_tokens=100))


def ask(questions: dict[str, Any], state: str | None = None) -> t.InputRequiredResult:
    return t.InputRequiredResult(input_requests=questions, request_state=state)


def given(params: Any, key: str) -> Any:
    return (params.input_responses or {}).get(key)


async def report_progress(ctx: Any, _params: Any, _arguments: Mapping[str, Any]) -> t.CallToolResult:
    for step in (0, 50, 100):
        await ctx.session.report_progress(step, 100, f"Completed step {step} of 100")
        await anyio.sleep(0.05)
    return words("done")


def logging(*messages: str) -> Ask:
    async def log(ctx: Any, _params: Any, _arguments: Mapping[str, Any]) -> t.CallToolResult:
        for message in messages:
            await ctx.session.send_log_message("info", message, related_request_id=ctx.request_id)
            await anyio.sleep(0.05)
        return words("logged")

    return log


async def sampling(ctx: Any, _params: Any, arguments: Mapping[str, Any]) -> t.CallToolResult:
    request = sample(str(arguments["prompt"])).params
    answer = await ctx.session.create_message(request.messages, max_tokens=100, related_request_id=ctx.request_id)
    return words(f"LLM response: {answer.content.text}")


def eliciting(name: str) -> Ask:
    async def elicit(ctx: Any, _params: Any, _arguments: Mapping[str, Any]) -> t.CallToolResult:
        asked = CASES["forms"][name]
        answer = await ctx.session.elicit_form(asked["message"], asked["schema"], related_request_id=ctx.request_id)
        return words(f"User response: action={answer.action}, content={json.dumps(answer.content)}")

    return elicit


async def needs_sampling(ctx: Any, _params: Any, _arguments: Mapping[str, Any]) -> t.CallToolResult:
    offered = ctx.session.client_capabilities
    if offered is None or offered.sampling is None:
        lacking = {"requiredCapabilities": {"sampling": {}}}
        raise MCPError(t.MISSING_REQUIRED_CLIENT_CAPABILITY, "The client offers no sampling", data=lacking)
    return words("has sampling")


async def region(_ctx: Any, _params: Any, arguments: Mapping[str, Any]) -> t.CallToolResult:
    return words(f"region={arguments.get('region')}")


async def reconnecting(ctx: Any, _params: Any, _arguments: Mapping[str, Any]) -> t.CallToolResult:
    if ctx.close_sse_stream:
        await ctx.close_sse_stream()
    await anyio.sleep(0.2)
    return words("Reconnection test completed")


async def streaming_elicitation(ctx: Any, params: Any, _arguments: Mapping[str, Any]) -> Any:
    if given(params, "user_name"):
        return words("done")
    await ctx.session.report_progress(1, 2, "about to ask")
    return ask({"user_name": form("name")})


def asking_once(key: str, question: Callable[[], Any], answer: Callable[[Any], str]) -> Ask:
    async def once(_ctx: Any, params: Any, _arguments: Mapping[str, Any]) -> Any:
        answered = given(params, key)
        return words(answer(answered)) if answered else ask({key: question()})

    return once


async def with_state(_ctx: Any, params: Any, _arguments: Mapping[str, Any]) -> Any:
    if given(params, "confirm") and params.request_state == "nonce":
        return words("state-ok")
    return ask({"confirm": form("confirm")}, "nonce")


async def several(_ctx: Any, params: Any, _arguments: Mapping[str, Any]) -> Any:
    questions = {"user_name": form("name"), "greeting": sample("Generate a greeting"), "roots": t.ListRootsRequest()}
    if questions.keys() <= (params.input_responses or {}).keys():
        return words("All inputs received.")
    return ask(questions, "several")


async def rounds(_ctx: Any, params: Any, _arguments: Mapping[str, Any]) -> Any:
    state = json.loads(params.request_state) if params.request_state else {"round": 0}
    if state["round"] == 1 and (name := given(params, "step1")):
        said = {"round": 2, "name": (name.content or {}).get("name")}
        return ask({"step2": form("colour")}, json.dumps(said))
    if state["round"] == 2 and (colour := given(params, "step2")):
        return words(f"{state['name']} likes {(colour.content or {}).get('color')}.")
    return ask({"step1": form("name")}, json.dumps({"round": 1}))


async def what_is_offered(ctx: Any, _params: Any, _arguments: Mapping[str, Any]) -> Any:
    offered = ctx.session.client_capabilities
    questions: dict[str, Any] = {}
    if offered and offered.sampling is not None:
        questions["sample"] = sample("Say hello")
    if offered and offered.elicitation is not None:
        questions["ask"] = form("name")
    return ask(questions, "offered")


def answering(tool: str) -> Ask:
    async def answer(_ctx: Any, _params: Any, _arguments: Mapping[str, Any]) -> t.CallToolResult:
        told = CASES["answers"][tool]
        return t.CallToolResult(content=[block(one) for one in told["content"]], is_error=told.get("isError", False))

    return answer


def publishing(bus: InMemorySubscriptionBus, event: Any) -> Ask:
    async def publish(_ctx: Any, _params: Any, _arguments: Mapping[str, Any]) -> t.CallToolResult:
        await bus.publish(event)
        return words("list changed")

    return publish


def behaviours(bus: InMemorySubscriptionBus) -> dict[str, Ask]:
    """What each fixture tool does."""
    required = "test_input_required_result_"
    name = asking_once("user_name", lambda: form("name"), lambda one: f"Hello, {(one.content or {}).get('name')}!")
    capital = "What is the capital of France?"
    return {
        **{tool: answering(tool) for tool in CASES["answers"]},
        "test_tool_with_progress": report_progress,
        "test_tool_with_logging": logging(*CASES["log"]),
        "test_logging_tool": logging("hello"),
        "test_sampling": sampling,
        "test_elicitation": eliciting("account"),
        "test_elicitation_sep1034_defaults": eliciting("defaults"),
        "test_elicitation_sep1330_enums": eliciting("enums"),
        "test_missing_capability": needs_sampling,
        "test_x_mcp_header": region,
        "test_reconnection": reconnecting,
        "test_streaming_elicitation": streaming_elicitation,
        "test_trigger_tool_change": publishing(bus, ToolsListChanged()),
        "test_trigger_prompt_change": publishing(bus, PromptsListChanged()),
        f"{required}elicitation": name,
        f"{required}sampling": asking_once("capital_question", lambda: sample(capital), lambda one: one.content.text),
        f"{required}list_roots": asking_once("client_roots", t.ListRootsRequest, lambda one: f"{len(one.roots)} roots"),
        f"{required}request_state": with_state,
        f"{required}tampered_state": with_state,
        f"{required}multiple_inputs": several,
        f"{required}multi_round": rounds,
        f"{required}capabilities": what_is_offered,
    }


class Overlay:
    """Handlers that answer for a fixture, and pass everything else to the product's."""

    def __init__(self, server: Server[Any], bus: InMemorySubscriptionBus) -> None:
        self._product = {method: server.get_request_handler(method).handler for method in HANDLED}
        self._tools = behaviours(bus)

    async def list_tools(self, ctx: Any, params: Any) -> t.ListToolsResult:
        product = await self._product["tools/list"](ctx, params)
        empty = {"type": "object", "properties": {}}
        ours = [
            t.Tool(name=name, description="fixture", input_schema=CASES["schemas"].get(name, empty))
            for name in self._tools
        ]
        return t.ListToolsResult(tools=[*product.tools, *ours])

    async def call_tool(self, ctx: Any, params: Any) -> Any:
        if params.name in self._tools:
            return await self._tools[params.name](ctx, params, params.arguments or {})
        return await self._product["tools/call"](ctx, params)

    async def list_resources(self, ctx: Any, params: Any) -> t.ListResourcesResult:
        product = await self._product["resources/list"](ctx, params)
        ours = [
            t.Resource(uri=uri, name=uri.partition("//")[2], mime_type=told["mimeType"])
            for uri, told in CASES["resources"].items()
        ]
        return t.ListResourcesResult(resources=[*product.resources, *ours])

    async def list_templates(self, ctx: Any, params: Any) -> t.ListResourceTemplatesResult:
        product = await self._product["resources/templates/list"](ctx, params)
        ours = t.ResourceTemplate(
            uri_template="test://template/{id}/data", name="fixture", mime_type="application/json"
        )
        return t.ListResourceTemplatesResult(resource_templates=[*product.resource_templates, ours])

    async def read_resource(self, ctx: Any, params: Any) -> t.ReadResourceResult:
        uri = str(params.uri)
        if uri in CASES["resources"]:
            told = json.loads(json.dumps(CASES["resources"][uri]).replace("{png}", CASES["png"]))
            return t.ReadResourceResult.model_validate({"contents": [{"uri": uri, **told}]})
        if uri.startswith("test://template/"):
            id = uri.split("/")[3]
            text = json.dumps({"id": id, "templateTest": True, "data": f"Data for ID: {id}"})
            content = t.TextResourceContents(uri=uri, mime_type="application/json", text=text)
            return t.ReadResourceResult(contents=[content])
        return await self._product["resources/read"](ctx, params)

    async def list_prompts(self, ctx: Any, params: Any) -> t.ListPromptsResult:
        product = await self._product["prompts/list"](ctx, params)
        ours = [t.Prompt.model_validate({"name": name, **told["prompt"]}) for name, told in CASES["prompts"].items()]
        return t.ListPromptsResult(prompts=[*product.prompts, *ours])

    async def get_prompt(self, ctx: Any, params: Any) -> Any:
        told = CASES["prompts"].get(params.name)
        if told is None:
            return await self._product["prompts/get"](ctx, params)
        arguments = dict(params.arguments or {})
        if params.name == "test_input_required_result_prompt":
            answered = given(params, "user_context")
            if not answered:
                return ask({"user_context": form("context")})
            arguments = dict(answered.content or {})
        blanks = {**arguments, "png": CASES["png"]}
        text = json.dumps({"messages": told["messages"]})
        for name, value in blanks.items():
            text = text.replace(f"{{{name}}}", str(value))
        return t.GetPromptResult.model_validate_json(text)


async def nothing(_ctx: Any, _params: Any) -> t.EmptyResult:
    return t.EmptyResult()


HANDLED = {
    "tools/list": (t.PaginatedRequestParams, Overlay.list_tools),
    "tools/call": (t.CallToolRequestParams, Overlay.call_tool),
    "resources/list": (t.PaginatedRequestParams, Overlay.list_resources),
    "resources/templates/list": (t.PaginatedRequestParams, Overlay.list_templates),
    "resources/read": (t.ReadResourceRequestParams, Overlay.read_resource),
    "prompts/list": (t.PaginatedRequestParams, Overlay.list_prompts),
    "prompts/get": (t.GetPromptRequestParams, Overlay.get_prompt),
}
NOT_OURS = {
    "logging/setLevel": t.SetLevelRequestParams,
    "resources/subscribe": t.SubscribeRequestParams,
    "resources/unsubscribe": t.UnsubscribeRequestParams,
}


class MemoryEvents(EventStore):
    """The events of all streams, for a client that comes back in a session of the 2025 protocol."""

    def __init__(self) -> None:
        self._events: list[tuple[str, Any]] = []

    async def store_event(self, stream_id: str, message: Any) -> str:
        self._events.append((stream_id, message))
        return str(len(self._events))

    async def replay_events_after(self, last_event_id: str, send_callback: Any) -> str | None:
        seen = int(last_event_id)
        if not 0 < seen <= len(self._events):
            return None
        stream = self._events[seen - 1][0]
        for number, (at, message) in enumerate(self._events[seen:], seen + 1):
            if at == stream and message is not None:
                await send_callback(EventMessage(message, str(number)))
        return stream


def overlaid(server: Server[Any]) -> Server[Any]:
    """The same server, with the fixtures."""
    bus = InMemorySubscriptionBus()
    overlay = Overlay(server, bus)
    for method, (params, handler) in HANDLED.items():
        server.add_request_handler(method, params, handler.__get__(overlay))
    for method, params in NOT_OURS.items():
        server.add_request_handler(method, params, nothing)
    server.add_request_handler("subscriptions/listen", t.SubscriptionsListenRequestParams, ListenHandler(bus))
    return server


def serve_shipped(settings: Settings) -> None:
    """As `seedframe serve --http` does."""
    options = http_options("127.0.0.1:0")

    def shared() -> Any:
        return shared_studios(settings, lambda: in_process_backend(settings))

    serve_http(options, settings, shared, say=lambda message: announce(str(message)), extend=overlaid)


def serve_sessions(settings: Settings) -> None:
    """The product's server on the SDK's own transport with sessions."""
    server = overlaid(build_server(lambda: Studio.open(settings), settings.language, settings))
    app = server.streamable_http_app(event_store=MemoryEvents(), retry_interval=RETRY_MILLISECONDS)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        announce(f"http://127.0.0.1:{listener.getsockname()[1]}/mcp")
        uvicorn.Server(uvicorn.Config(app, log_level="warning")).run([listener])


def announce(text: str) -> None:
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


if __name__ == "__main__":
    {"shipped": serve_shipped, "sessions": serve_sessions}[sys.argv[1]](Settings.read(dict(os.environ)))
