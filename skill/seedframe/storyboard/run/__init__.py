"""Running a board: every frame a durable workflow, paid at most once.

In: a `Board` and a folder. Out: pictures, and what became of every frame.
Never in here: what a frame shows, what is recorded of it, a manifest, a page.
"""
