"""The HTTP entry point, for programs that speak Ark's or OpenAI's image API.

Start reading in `app`. In: HTTP requests on loopback. Out: answers in Ark's format, from the same pipeline as every
other entry point. Never in here: a payment, a change of a picture's bytes, the environment.
"""
