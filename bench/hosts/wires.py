"""Four providers' model APIs, as far as a host needs them to call one tool and read its result.

In: the JSON that a host posts; the turn to answer with. Out: what was asked; events of a stream, or one document.
Never in here: which turn it is, a socket.

Shapes as the hosts of November 2026 send and read them: Anthropic Messages, OpenAI Responses, Gemini
generateContent, OpenAI Chat Completions.
"""

from __future__ import annotations

import base64
import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bench.hosts.turns import TOOL, Asked, CallTool, Say, Turn

Json = dict[str, Any]
_USAGE = {"input_tokens": 1, "output_tokens": 1}


class Wire(ABC):
    """One provider's API."""

    @abstractmethod
    def asked(self, body: Json) -> Asked:
        """What the host asks."""

    @abstractmethod
    def events(self, turn: Turn, body: Json) -> Iterator[bytes]:
        """The answer as server-sent events."""

    @abstractmethod
    def document(self, turn: Turn, body: Json) -> Json:
        """The answer as one document, for a host that does not stream."""


class Anthropic(Wire):
    """`POST /v1/messages`."""

    def asked(self, body: Json) -> Asked:
        """See `Wire`."""
        newest = _after_last(body["messages"], "assistant")
        blocks = [block for message in newest for block in _blocks(message["content"])]
        blocks += [inner for block in blocks for inner in _blocks(block.get("content"))]
        images = [base64.b64decode(block["source"]["data"]) for block in blocks if block["type"] == "image"]
        return Asked(_names(body.get("tools")), _texts(blocks), tuple(images))

    def events(self, turn: Turn, body: Json) -> Iterator[bytes]:
        """See `Wire`."""
        message = self.document(turn, body)
        (block,) = message["content"]
        empty = {**block, "text": ""} if "text" in block else {**block, "input": {}}
        delta = (
            {"type": "text_delta", "text": block["text"]}
            if "text" in block
            else {"type": "input_json_delta", "partial_json": json.dumps(block["input"])}
        )
        ended = {"stop_reason": message["stop_reason"], "stop_sequence": None}
        for event in (
            {"type": "message_start", "message": {**message, "content": [], "stop_reason": None}},
            {"type": "content_block_start", "index": 0, "content_block": empty},
            {"type": "content_block_delta", "index": 0, "delta": delta},
            {"type": "content_block_stop", "index": 0},
            {"type": "message_delta", "delta": ended, "usage": _USAGE},
            {"type": "message_stop"},
        ):
            yield _event(event, str(event["type"]))

    def document(self, turn: Turn, body: Json) -> Json:
        """See `Wire`."""
        if isinstance(turn, Say):
            block: Json = {"type": "text", "text": turn.text}
        else:
            block = {"type": "tool_use", "id": _id("toolu", body), "name": _tool(body), "input": dict(turn.arguments)}
        return {
            "id": _id("msg", body),
            "type": "message",
            "role": "assistant",
            "model": body["model"],
            "content": [block],
            "stop_reason": "end_turn" if isinstance(turn, Say) else "tool_use",
            "stop_sequence": None,
            "usage": _USAGE,
        }


class Responses(Wire):
    """`POST /v1/responses`."""

    def asked(self, body: Json) -> Asked:
        """See `Wire`."""
        items = body["input"]
        ours = [number for number, item in enumerate(items) if _is_models(item)]
        newest = items[ours[-1] + 1 if ours else 0 :]
        blocks = [block for item in newest for block in _blocks(item.get("output", item.get("content")))]
        images = [_data_url(block["image_url"]) for block in blocks if block["type"] == "input_image"]
        return Asked(_names(body.get("tools")), _texts(blocks), tuple(images))

    def events(self, turn: Turn, body: Json) -> Iterator[bytes]:
        """See `Wire`."""
        response = self.document(turn, body)
        (item,) = response["output"]
        for event in (
            {"type": "response.created", "response": {**response, "status": "in_progress", "output": []}},
            {"type": "response.output_item.done", "output_index": 0, "item": item},
            {"type": "response.completed", "response": response},
        ):
            yield _event(event, str(event["type"]))

    def document(self, turn: Turn, body: Json) -> Json:
        """See `Wire`."""
        usage = {**_USAGE, "total_tokens": 2, "input_tokens_details": None, "output_tokens_details": None}
        head = {"id": _id("resp", body), "object": "response", "status": "completed", "usage": usage}
        return {**head, "model": body["model"], "output": [self._item(turn, body)]}

    def _item(self, turn: Turn, body: Json) -> Json:
        if isinstance(turn, Say):
            content = [{"type": "output_text", "text": turn.text}]
            return {"type": "message", "id": _id("msg", body), "role": "assistant", "content": content}
        tool = next(found for found in _flat(body["tools"]) if str(found.get("name")).endswith(TOOL))
        call = {"type": "function_call", "id": _id("fc", body), "call_id": _id("call", body), "name": tool["name"]}
        place = {"namespace": tool["namespace"]} if "namespace" in tool else {}
        return {**call, **place, "arguments": json.dumps(dict(turn.arguments))}


class Gemini(Wire):
    """`POST /v1beta/models/{model}:streamGenerateContent` and `:generateContent`."""

    def asked(self, body: Json) -> Asked:
        """See `Wire`."""
        newest = _after_last(body["contents"], "model")
        parts = [part for content in newest for part in content.get("parts", [])]
        answers = [part["functionResponse"] for part in parts if "functionResponse" in part]
        parts += [part for answer in answers for part in answer.get("parts", [])]
        words = [part["text"] for part in parts if "text" in part]
        words += [_words_of(answer["response"]) for answer in answers]
        images = [base64.b64decode(part["inlineData"]["data"]) for part in parts if "inlineData" in part]
        return Asked(_names(body.get("tools")), "\n".join(words), tuple(images))

    def events(self, turn: Turn, body: Json) -> Iterator[bytes]:
        """See `Wire`."""
        yield _event(self.document(turn, body))

    def document(self, turn: Turn, body: Json) -> Json:
        """See `Wire`."""
        if isinstance(turn, Say):
            part: Json = {"text": turn.text}
        else:
            part = {"functionCall": {"name": _tool(body), "args": dict(turn.arguments)}}
        content = {"role": "model", "parts": [part]}
        usage = {"promptTokenCount": 1, "candidatesTokenCount": 1, "totalTokenCount": 2}
        return {"candidates": [{"content": content, "finishReason": "STOP", "index": 0}], "usageMetadata": usage}


class Chat(Wire):
    """`POST /v1/chat/completions`."""

    def asked(self, body: Json) -> Asked:
        """See `Wire`."""
        newest = _after_last(body["messages"], "assistant")
        blocks = [block for message in newest for block in _blocks(message.get("content"))]
        images = [_data_url(block["image_url"]["url"]) for block in blocks if block["type"] == "image_url"]
        return Asked(_names(body.get("tools")), _texts(blocks), tuple(images))

    def events(self, turn: Turn, body: Json) -> Iterator[bytes]:
        """See `Wire`."""
        document = self.document(turn, body)
        (choice,) = document.pop("choices")
        head = {**document, "object": "chat.completion.chunk"}
        message = {**choice["message"]}
        if "tool_calls" in message:
            message["tool_calls"] = [{"index": 0, **call} for call in message["tool_calls"]]
        for delta, reason in ((message, None), ({}, choice["finish_reason"])):
            yield _event({**head, "choices": [{"index": 0, "delta": delta, "finish_reason": reason}]})
        yield b"data: [DONE]\n\n"

    def document(self, turn: Turn, body: Json) -> Json:
        """See `Wire`."""
        if isinstance(turn, Say):
            message: Json = {"role": "assistant", "content": turn.text}
        else:
            function = {"name": _tool(body), "arguments": json.dumps(dict(turn.arguments))}
            call = {"id": _id("call", body), "type": "function", "function": function}
            message = {"role": "assistant", "content": None, "tool_calls": [call]}
        reason = "stop" if isinstance(turn, Say) else "tool_calls"
        usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
        head = {"id": _id("chat", body), "object": "chat.completion", "created": 0, "model": body["model"]}
        return {**head, "choices": [{"index": 0, "message": message, "finish_reason": reason}], "usage": usage}


def _after_last(messages: Sequence[Json], role: str) -> Sequence[Json]:
    """What is newer than the last message of that role."""
    ours = [number for number, message in enumerate(messages) if message["role"] == role]
    return messages[ours[-1] + 1 if ours else 0 :]


def _is_models(item: Mapping[str, Any]) -> bool:
    return item.get("role") == "assistant" or item.get("type") in {"function_call", "reasoning"}


def _blocks(content: object) -> list[Json]:
    """Content as blocks: hosts send a plain text, or a list."""
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    return [block for block in content if isinstance(block, dict)] if isinstance(content, list) else []


def _texts(blocks: Sequence[Mapping[str, Any]]) -> str:
    return "\n".join(block["text"] for block in blocks if isinstance(block.get("text"), str))


def _words_of(value: object) -> str:
    """The words in a document, without the escapes that JSON would put between them."""
    if isinstance(value, str):
        return value
    if isinstance(value, Mapping):
        return "\n".join(map(_words_of, value.values()))
    return "\n".join(map(_words_of, value)) if isinstance(value, list) else json.dumps(value)


def _flat(tools: Sequence[Json]) -> Iterator[Json]:
    """Every tool, with the group that some APIs put it in."""
    for tool in tools:
        if tool.get("type") == "namespace":
            yield from ({**inner, "namespace": tool["name"]} for inner in tool["tools"])
        elif "functionDeclarations" in tool:
            yield from tool["functionDeclarations"]
        else:
            yield tool.get("function", tool) if isinstance(tool.get("function", tool), dict) else tool


def _names(tools: Sequence[Json] | None) -> tuple[str, ...]:
    return tuple(str(tool.get("name", tool.get("type"))) for tool in _flat(tools or []))


def _tool(body: Json) -> str:
    """Our tool, as this host spells it."""
    return next(name for name in _names(body["tools"]) if name.endswith(TOOL))


def _id(kind: str, body: Json) -> str:
    """Different for every turn of a conversation."""
    history = body.get("messages") or body.get("input") or body.get("contents") or []
    return f"{kind}_{len(history):06d}"


def _data_url(url: str) -> bytes:
    return base64.b64decode(url.partition("base64,")[2])


def _event(document: Mapping[str, Any], name: str | None = None) -> bytes:
    head = f"event: {name}\n" if name else ""
    return f"{head}data: {json.dumps(document)}\n\n".encode()


__all__ = ["Anthropic", "CallTool", "Chat", "Gemini", "Responses", "Wire"]
