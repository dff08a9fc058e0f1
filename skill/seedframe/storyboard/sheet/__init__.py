"""The contact sheet of a board, as one page and as one picture.

In: a `Board` and its results. Out: HTML and PNG. Never in here: a file system, a network.
"""
