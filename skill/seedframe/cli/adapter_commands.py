"""`adapter`: programs that start another program for each job, and speak to it on stdin and stdout.

In: a job on stdin. Out: its answer on stdout, in ASCII; words for people on stderr; an exit code.
Never in here: what a job says (see `drama_skills_job`).
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Mapping
from typing import Any

import click

from seedframe.cli.common import exit_code, say, studio
from seedframe.errors import SeedreamError
from seedframe.messages import Language
from seedframe.settings import Settings


def commands(language: Language) -> tuple[click.Command, ...]:
    """`adapter` with one command for each program, with help in one language."""
    group = click.Group("adapter", help=say("adapter.command", language), no_args_is_help=True)
    group.add_command(click.Command("drama-skills", callback=_drama_skills, help=say("adapter.drama-skills", language)))
    return (group,)


@click.pass_obj
def _drama_skills(settings: Settings) -> None:
    from seedframe.cli import drama_skills_job as contract

    job: dict[str, Any] = {}
    try:
        job = contract.job_in(sys.stdin.buffer.read(contract.LARGEST_JOB).decode("utf-8", "replace"))
        answer = asyncio.run(_done(settings, job))
    except SeedreamError as error:
        click.echo(error.text(settings.language), err=True)
        click.echo(json.dumps({"error": contract.public_error(error, job)}))
        sys.exit(exit_code(error))
    click.echo(json.dumps(answer))


async def _done(settings: Settings, job: Mapping[str, Any]) -> dict[str, Any]:
    from seedframe.cli import drama_skills_job as contract

    async with studio(settings) as opened:
        if job.get("collect_provider_job_id"):
            return await contract.collect(opened, job)
        return await contract.produce(opened, job)
