"""`python -m bench.hosts [HOST …] [--long] [--only WORDS]`: the table of real hosts. Exit code 1 where a cell fails."""

from __future__ import annotations

import argparse
import sys

from bench.hosts.installed import NotReachable
from bench.hosts.matrix import run_matrix
from bench.hosts.programs import HOSTS
from bench.hosts.sentences import LONG_SENTENCES, SENTENCES


def main() -> int:
    options = argparse.ArgumentParser(prog="python -m bench.hosts", description=__doc__)
    options.add_argument("hosts", nargs="*", metavar="HOST", help=f"some of: {', '.join(host.name for host in HOSTS)}")
    options.add_argument("--long", action="store_true", help="calls of 150 and 310 seconds as well")
    options.add_argument("--only", default="", metavar="WORDS", help="the sentences that contain these words")
    given = options.parse_args()
    hosts = [host for host in HOSTS if not given.hosts or host.name in given.hosts]
    sentences = [*(LONG_SENTENCES if given.long else ()), *SENTENCES]
    try:
        matrix = run_matrix(hosts, [one for one in sentences if given.only in one.title])
    except NotReachable as error:
        print(error)
        return 0
    print(matrix)
    return 0 if matrix.holds else 1


if __name__ == "__main__":
    sys.exit(main())
