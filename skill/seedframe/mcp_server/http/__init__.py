"""Streamable HTTP: the MCP server for many callers on other machines.

`http_options` is what the operator decides, `tokens` who calls, `callers` what each caller has, `boundary` what comes
in, `outward` what goes out, `links` and `uploads` how pictures travel, `http_endpoint` the routes, `serving` the
process.
"""
