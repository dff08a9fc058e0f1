"""The MCP server: tools, resources and prompts.

`app` builds the server, `tools` says what it advertises, `answers` what it returns, `talk` holds progress and
questions, `texts` the prompts and references agents read. Only this package and the demo import `mcp`.
"""
