"""The HTTP entry point: programs that speak Ark's or OpenAI's image API, in front of the same pipeline.

START READING in `app`. In: HTTP requests on loopback. Out: Ark's answers. Never in here: a payment, a picture's bytes
being changed, the environment.
"""
