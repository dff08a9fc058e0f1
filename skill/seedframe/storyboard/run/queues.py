"""The engine's queues of a board: one for each model of the backend, since that is what the service limits.

In: a board's tasks, settings, how many workers are at work. Out: the queue of each frame; queues set up with the limit
that holds for all workers together and with what each of them may have under way.
Never in here: a frame being queued or made, a payment.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from seedframe.catalog import catalog
from seedframe.errors import SeedreamError
from seedframe.service.request import check
from seedframe.settings import Settings
from seedframe.storyboard.board_plan import arguments_of, pace
from seedframe.storyboard.frames import FrameTask
from seedframe.storyboard.run.engine import EngineClient

MOST_AT_ONCE = 32
"""The most calls under way in one worker."""


def queues_of(tasks: Sequence[FrameTask], settings: Settings) -> dict[str, str]:
    """The queue of each frame, by frame key."""
    names: dict[str | None, str] = {}
    for task in tasks:
        if task.model not in names:
            names[task.model] = f"{settings.backend}/{_model_of(task, settings)}"
    return {task.key: names[task.model] for task in tasks}


def set_up_queues(
    client: EngineClient,
    tasks: Sequence[FrameTask],
    settings: Settings,
    *,
    waiting: Collection[str],
    workers: int,
    at_once: int | None,
) -> None:
    """Give each queue its limit, and each worker no more of the frames that are `waiting` than its fair share.

    Otherwise whoever looks first takes all frames of a small board, on one key, while the others have nothing to do.
    """
    backend = catalog().backend(settings.backend)
    limit = settings.images_per_minute or backend.images_per_minute
    queues = queues_of(tasks, settings)
    together = made_together(tasks, {key: queue for key, queue in queues.items() if key in waiting})
    for queue in sorted(set(queues.values())):
        most = min(MOST_AT_ONCE, at_once or default_at_once(limit, backend.name, queue.partition("/")[2]))
        if workers > 1:
            frames = together[queue] + client.count_active(queue, most * workers)
            most = min(most, max(1, math.ceil(frames / workers)))
        client.register(queue, limit, most)


def made_together(tasks: Sequence[FrameTask], queues: Mapping[str, str]) -> Counter[str]:
    """How many frames of each queue can be under way at one time: the most that are equally far from a beginning."""
    distance: dict[str, int] = {}
    counts: Counter[tuple[str, int]] = Counter()
    for task in tasks:
        distance[task.key] = 1 + max((distance.get(key, 0) for key in task.depends_on), default=0)
        if task.key in queues:
            counts[queues[task.key], distance[task.key]] += 1
    most: Counter[str] = Counter()
    for (queue, _), count in counts.items():
        most[queue] = max(most[queue], count)
    return most


def default_at_once(images_per_minute: int, backend: str, model: str) -> int:
    """Calls under way that use the whole limit while each takes as long as a slow one does; 32 at most."""
    known = pace()
    _, slow = known["backends"].get(backend) or known["seconds"].get(model, known["otherwise"])
    wanted = math.ceil(images_per_minute / 60 * float(slow))
    return min(MOST_AT_ONCE, max(1, wanted))


def _model_of(task: FrameTask, settings: Settings) -> str:
    tool, arguments = arguments_of(task, made={key: Path(key) for key in task.depends_on})
    try:
        return check(tool, arguments, catalog=catalog(), settings=settings).offer.model.name
    except SeedreamError:  # the frame itself will say what is wrong with it
        return task.model or settings.model or "default"
