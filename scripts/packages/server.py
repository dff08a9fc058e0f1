"""Starts Seedframe's MCP server on stdio from the sources beside this file."""

import sys

from seedframe.cli import main

if __name__ == "__main__":
    sys.argv = ["seedframe", "serve"]
    main()
