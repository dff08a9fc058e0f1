"""Pictures in an object store: TOS, S3 and everything that speaks like it.

In: a place, the settings. Out: files put there with proof, and brought back. `bucket` speaks to the store, `mirror`
keeps a local folder and its place the same. Never in here: a payment, a picture's pixels.
"""
