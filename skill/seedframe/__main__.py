"""`python -m seedframe` is `seedframe`."""

from seedframe.cli import main

main()
