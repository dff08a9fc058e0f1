"""From arguments to pictures on disk. Start reading in `seedframe.studio.pipeline`.

In: a tool's name and arguments. Out: a `Result`. Never in here: the format of an entry point, a dialect.
"""
