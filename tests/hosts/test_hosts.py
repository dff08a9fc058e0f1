"""Claude Code, Codex, Gemini CLI and opencode themselves, on a model that we play: what must hold in each of them."""

from __future__ import annotations

import pytest
from bench.hosts.installed import NotReachable
from bench.hosts.matrix import Matrix, run_matrix
from bench.hosts.programs import HOSTS
from bench.hosts.sentences import SENTENCES

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200), pytest.mark.xdist_group("hosts")]


@pytest.fixture(scope="module")
def matrix() -> Matrix:
    """The whole table, printed; skipped where the hosts cannot be had."""
    try:
        matrix = run_matrix()
    except NotReachable as error:
        pytest.skip(str(error))
    print(f"\n{matrix}")  # noqa: T201 - CI shows the table
    return matrix


@pytest.mark.parametrize("host", [host.name for host in HOSTS])
@pytest.mark.parametrize("sentence", [sentence.title for sentence in SENTENCES])
def test_it_holds_in_every_host(sentence: str, host: str, matrix: Matrix):
    cell = matrix.cells[sentence, host]

    assert cell.holds, f"{host}: {sentence}: {cell.said}\n\n{matrix}"
