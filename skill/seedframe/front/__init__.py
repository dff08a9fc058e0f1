"""The thin front: what a host or a shell starts, and what may be killed at any time without losing a picture.

`relay` answers an MCP host's lists at once and passes everything else on, `command` runs a paid command of the CLI,
`worker_process` starts the process that does the work in a session of its own, `kept_answers` has the static
answers of the server. Only a few modules of the standard library are imported here: a host waits for this process.
"""
