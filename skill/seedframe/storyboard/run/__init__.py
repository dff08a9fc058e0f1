"""Running a board: every frame a durable workflow, paid at most once.

In: a `Board` and a folder. Out: pictures, and the state of every frame.
Never in here: what a frame shows, a manifest, a page.
"""
