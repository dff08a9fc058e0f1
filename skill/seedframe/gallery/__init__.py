"""The gallery: the pictures of an output folder with their sidecars, as a page in a browser or in an MCP host.

In: an output folder. Out: records, small previews, an HTML page, a Starlette app for loopback. Never in here: a paid
call, the payment record, a file that is changed.
"""
