"""What is known of a board: its tasks, its pictures, what was paid for them, what its folder proves, how it all stands.

In: a database, a payment record, a folder. Out: frozen values. Never in here: the engine, a picture being made.
"""
