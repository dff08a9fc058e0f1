"""What two vendors' SDKs make of tool definitions: OpenAI's strict mode and Gemini's typed parameters.

In: the tools as JSON on stdin. Out: for each tool the strict schema, and the types Gemini reads, as nested as it is.
"""

import copy
import json
import sys
from typing import Any

from agents.strict_schema import ensure_strict_json_schema
from google.genai import types


def kinds(schema: Any) -> Any:
    if schema.properties:
        return {name: kinds(inner) for name, inner in schema.properties.items()}
    return [kinds(schema.items)] if schema.items else schema.type.value.lower()


def converted(tool: dict[str, Any]) -> dict[str, Any]:
    schema = tool["inputSchema"]
    read = types.Schema.from_json_schema(json_schema=types.JSONSchema.model_validate(schema))
    types.FunctionDeclaration(name=tool["name"], description=tool["description"], parameters=read)
    return {"strict": ensure_strict_json_schema(copy.deepcopy(schema)), "gemini": kinds(read)}


json.dump({tool["name"]: converted(tool) for tool in json.load(sys.stdin)}, sys.stdout)
