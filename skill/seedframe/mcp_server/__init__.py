"""The MCP server: tools, resources and prompts.

`app` builds the server, `tools` has what it advertises, `content` what tools return, `progress` progress and questions,
`resources` the prompts and pages agents read. Only this package and the demo import `mcp`.
"""
