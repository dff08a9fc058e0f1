"""Real MCP hosts on a model that we play: `python -m bench.hosts` prints what holds in which of them.

`installed` has the programs, `programs` how each is started, `model_api` the loopback stand-in for their providers,
`sentences` what must hold, `matrix` runs all of it and prints the table. `tests/hosts` asserts the same table.
"""
