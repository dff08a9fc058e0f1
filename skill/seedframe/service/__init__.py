"""The vendor's API: requests, schemas, dialects, the client, replies and input images.

In: a tool's arguments. Out: a frozen `ImageRequest`, the HTTP call for it, a `Reply` or an error.
Never in here: a payment record, a picture's pixels, an entry point.
"""
