"""What a person or an agent does with a board besides running it: plan it, pick takes, draw its sheet, hand it over.

In: a path or a text, a board's folder. Out: values for the entry points, files in the folder. The command line and the
MCP tool call the same functions here. Never in here: an entry point's format, a payment, the engine's inside.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from seedframe.catalog import catalog
from seedframe.errors import ConfirmationNeeded, InvalidRequest, NotConfigured
from seedframe.messages import Message
from seedframe.object_places import place_of
from seedframe.settings import Money, Settings
from seedframe.storyboard.board import Board, example
from seedframe.storyboard.board_folder import (
    board_in,
    findings_in,
    manifest_of,
    publish,
    publish_picture,
    results_in,
    results_of,
)
from seedframe.storyboard.board_plan import BoardPlan, plan_board
from seedframe.storyboard.findings import BoardFinding
from seedframe.storyboard.folder_links import check_folder
from seedframe.storyboard.frames import FrameResult
from seedframe.storyboard.handoff.picture_addresses import Addresses, below, inline, registered
from seedframe.storyboard.handoff.request_file import WrittenRequests, write_requests
from seedframe.storyboard.handoff.requests import RequestChoices, build_requests
from seedframe.storyboard.picks import changed_picks, picks_meant, read_picks, write_picks
from seedframe.storyboard.record.folder_board import check_backend
from seedframe.storyboard.record.origin import state_by_files
from seedframe.storyboard.remote_folder import bring_pictures, link_of, send_board
from seedframe.storyboard.reports import money
from seedframe.storyboard.run.run import board_state, check_budget

PICTURES_BY = ("data", "url", "asset")
EXAMPLES = {".json": "json", ".yaml": "yaml", ".yml": "yaml"}


@dataclass(frozen=True, slots=True)
class Drawn:
    """A sheet on disk."""

    sheet: Path
    picture: Path
    manifest: Path


def write_example(path: Path) -> Path:
    """Write a commented example board; a file that exists is never overwritten."""
    form = EXAMPLES.get(path.suffix.lower())
    if form is None:
        raise InvalidRequest(
            Message("boards.init-format", got=path.name), field="file", got=path.name, allowed=sorted(EXAMPLES)
        )
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(example(form))
    except FileExistsError:
        raise InvalidRequest(
            Message("boards.init-exists", path=path), field="file", got=str(path), allowed=None
        ) from None
    except OSError as error:
        why = error.strerror or type(error).__name__
        raise InvalidRequest(
            Message("store.cannot-write", path=path, why=why), field="file", got=str(path), allowed=None
        ) from None
    return path


def budget_of(text: str | None, settings: Settings) -> Money | None:
    """`10` or `10.00 CNY`; NotConfigured when it is neither, or in a currency the backend does not take."""
    if text is None:
        return None
    budget = Settings.read({**settings.environ, "SEEDFRAME_BUDGET": text}).budget
    check_budget(budget, catalog().backend(settings.backend))
    return budget


def plan_of(board: Board, settings: Settings, out: Path | None = None) -> BoardPlan:
    """The plan, with the picks of the folder when there is one."""
    if out and place_of(out, settings.object_cache):  # references were copied there, for every worker
        settings = replace(settings, input_roots=(*settings.input_roots, out))
    return plan_board(board, settings, catalog(), picks=read_picks(out) if out else {})


def check_can_run(
    plan: BoardPlan,
    settings: Settings,
    out: Path,
    *,
    confirmed: bool = True,
    paying: bool = True,
    done: Collection[str] = (),
) -> None:
    """InvalidRequest, ConfirmationNeeded or NotConfigured: a run that would stop half way is not started.

    `paying`: this process makes the calls, so it needs a key. `done`: frames that are finished already.
    """
    if find_spec("dbos") is None:
        raise NotConfigured(Message("boards.no-engine"), advice=Message("boards.no-engine-advice"))
    backend = catalog().backend(settings.backend)
    check_backend(out, backend)
    if paying:
        backend.key(settings)
    blocked = [frame for frame in plan.blocked if frame.task.key not in done]
    if blocked:
        first = blocked[0]
        why = next(finding.message for finding in first.findings if finding.severity == "error")
        raise InvalidRequest(
            Message("boards.blocked", count=len(blocked), first=first.task.key, why=why),
            field="board",
            got=[frame.task.key for frame in blocked[:10]],
            allowed=None,
            advice=Message("boards.blocked-advice"),
        )
    limit = settings.confirm_above
    if confirmed or limit is None:
        return
    comparable = set(plan.cost) <= {limit.currency} or limit.currency is None
    if plan.unpriced or not comparable or sum(plan.cost.values()) > limit.amount:
        price = money(plan.cost, unpriced=plan.unpriced)
        raise ConfirmationNeeded(
            Message("pipeline.confirm", price=price, limit=limit.amount),
            advice=Message("pipeline.confirm-advice"),
            facts={"price": price, "limit": str(limit.amount)},
        )


def done_in(out: Path, database: str | None, settings: Settings) -> frozenset[str]:
    """Frames that are done already, by the run's record or by the files. StoreError for a record that is not ours."""
    try:
        state = board_state(out, database, settings)
    except InvalidRequest:
        check_folder(out)
        return frozenset()
    return frozenset(frame.task for frame in state.frames if frame.state == "done")


def pick(out: Path, words: Sequence[str], *, database: str | None, settings: Settings) -> dict[str, str | None]:
    """Mark takes as the chosen ones; manifest.json and sheet.html follow. Returns slot → key; None: removed."""
    board = board_in(out)
    meant = picks_meant(board, words)
    write_picks(out, changed_picks(read_picks(out), meant))
    publish(board, results_now(out, database, settings), out, language=settings.language)
    send_board(out, settings)
    return meant


def draw_sheet(out: Path, *, database: str | None, settings: Settings) -> Drawn:
    """The contact sheet as it stands now, as a page and as a picture."""
    bring_pictures(out, settings)
    board, results = board_in(out), results_now(out, database, settings)
    published = publish(board, results, out, language=settings.language)
    picture = publish_picture(board, results, out, language=settings.language)
    send_board(out, settings)
    return Drawn(published.sheet, picture, published.manifest)


def handoff_trouble(out: Path, *, now: Callable[[], float] = time.time) -> tuple[BoardFinding, ...]:
    """What Seedance would refuse now of the shots whose frames are there: also trust in faces that has ended."""
    return findings_in(out, datetime.fromtimestamp(now(), UTC))


def request_choices(settings: Settings, **choices: Any) -> RequestChoices:
    """Choices for the backend of the settings; a rehearsal asks with the ids of the first backend it stands for."""
    return RequestChoices(catalog().backend(settings.backend).ids[0], **choices)


def draw_requests(
    out: Path,
    choices: RequestChoices,
    *,
    pictures: str = "data",
    url_base: str | None = None,
    assets: Path | None = None,
    database: str | None,
    settings: Settings,
    now: Callable[[], float] = time.time,
) -> WrittenRequests:
    """Write one ready Seedance request for each shot whose frames are there; nothing is sent.

    `pictures`: `data` (in the request), `url` (below `url_base`; else signed links, where the board lies in an object
    store) or `asset` (ids from the file `assets`).
    InvalidRequest for choices that do not fit together.
    """
    out, moment = out.absolute(), datetime.fromtimestamp(now(), UTC)
    if pictures == "data":
        bring_pictures(out, settings)
    links = link_of(out, settings) if pictures == "url" and not url_base else None
    addresses = links or _addresses(out, pictures, url_base, assets)
    manifest = manifest_of(board_in(out), results_now(out, database, settings), out)
    written = write_requests(build_requests(manifest, addresses, choices, now=moment), out, now=moment)
    send_board(out, settings)
    return written


def _addresses(out: Path, pictures: str, url_base: str | None, assets: Path | None) -> Addresses:
    if pictures == "data":
        return inline(out)
    if pictures == "url" and url_base:
        return below(url_base)
    if pictures == "asset" and assets:
        return registered(assets)
    option = {"url": "--url-base", "asset": "--assets"}.get(pictures)
    if option is None:
        raise InvalidRequest(
            Message("handoff.pictures-by", got=pictures), field="pictures", got=pictures, allowed=list(PICTURES_BY)
        )
    raise InvalidRequest(
        Message("handoff.needs-option", pictures=pictures, option=option), field=option, got=None, allowed=option
    )


def results_now(out: Path, database: str | None, settings: Settings) -> Mapping[str, FrameResult]:
    """From the run's record; where there is none, from the manifest; without that, from pictures and sidecars."""
    try:
        return results_of(board_state(out, database, settings))
    except InvalidRequest:
        check_folder(out)
    known = results_in(out)
    state = None if known else state_by_files(out, settings)
    return results_of(state) if state else known
