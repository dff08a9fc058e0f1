"""One sentence for whoever starts `make` with an old Python; this file alone runs on any of them."""

import sys

SENTENCE = "Seedframe needs Python 3.11 or newer, and this is {}.{}: try `make PYTHON=python3.13`, or install uv."

if sys.version_info < (3, 11):  # noqa: UP036 - that is what it is for
    sys.exit(SENTENCE.format(*sys.version_info[:2]))
