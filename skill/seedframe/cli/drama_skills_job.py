"""A job of drama-skills' production tool, as its adapters get it: one JSON document in, one out.

In: the confirmed job (`prompt`, `reference_bindings`, `outputs`, `parameters`, folders), or one to be collected.
Out: the pictures in the job's staging folder and the document that names them, or the facts of an error that the
contract allows. Contract: short-drama-produce/references/adapter-contract.md of zenstory-ai/drama-skills, 2026-10.
Never in here: stdin and stdout, a payment that a collect would make.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seedframe.errors import (
    ApiError,
    ConnectionFailed,
    InvalidRequest,
    NotConfigured,
    OutcomeUnknown,
    PromptRejected,
    SeedreamError,
    SpendingRefused,
    StoreError,
)
from seedframe.messages import Message
from seedframe.storyboard.exchange.picture_files import FORMATS, check, put
from seedframe.storyboard.exchange.project import vocabulary
from seedframe.studio.types import Result

if TYPE_CHECKING:
    from seedframe.studio.pipeline import Studio

LARGEST_JOB = 1024 * 1024
TOKEN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,199}")
CATEGORIES: tuple[tuple[type[SeedreamError], str], ...] = (
    (InvalidRequest, "invalid_request"),
    (PromptRejected, "invalid_request"),
    (NotConfigured, "configuration"),
    (SpendingRefused, "permission"),
    (ConnectionFailed, "network"),
    (OutcomeUnknown, "provider_response"),
    (StoreError, "contract"),
)
BOUND = {"order", "path", "label", "may_control", "must_not_control"}
BY_STATUS = {400: "invalid_request", 401: "authentication", 403: "permission", 404: "configuration", 429: "rate_limit"}
SERVER_ERROR = 500


def job_in(text: str) -> dict[str, Any]:
    """The job of a document; InvalidRequest for anything that is no image job of this contract."""
    try:
        job = json.loads(text)
    except (ValueError, RecursionError):
        job = None
    if not isinstance(job, dict) or not _is_whole(job):
        raise _refused("adapter.no-job", "stdin", None)
    if job.get("modality") != "image":
        raise _refused("adapter.not-image", "modality", job.get("modality"))
    wrong = [target for target in job["outputs"] if Path(str(target)).suffix.lower() not in FORMATS]
    if wrong:
        raise _refused("adapter.no-picture", "outputs", wrong[0])
    return job


def _is_whole(job: Mapping[str, Any]) -> bool:
    """Whether everything is there that the contract promises and that is used here."""
    texts = ("prompt", "job_id", "output_root")
    bindings, parameters = job.get("reference_bindings") or [], job.get("parameters") or {}
    return bool(
        all(isinstance(job.get(name), str) and job[name] for name in texts)
        and isinstance(job.get("outputs"), list)
        and job["outputs"]
        and isinstance(parameters, dict)
        and isinstance(bindings, list)
        and all(isinstance(one, dict) and one.keys() >= BOUND and isinstance(one["order"], int) for one in bindings)
    )


async def produce(studio: Studio, job: Mapping[str, Any]) -> dict[str, Any]:
    """Make the job's pictures, once; the payment's id is in `handle_path` before anything is sent."""
    bindings = sorted(job.get("reference_bindings") or (), key=lambda binding: binding["order"])
    root = Path(str(job.get("project_root", job["output_root"])))
    images = [str(root / binding["path"]) for binding in bindings]
    taken = vocabulary("drama-skills")["parameters"]
    options = {taken[name]: value for name, value in (job.get("parameters") or {}).items() if name in taken}
    arguments = {
        "prompt": _prompt(job, bindings),
        "save_as": f"drama-skills/{job['job_id']}",
        "count": len(job["outputs"]),
        "preview": "none",
        **options,
        **({"images": images} if images else {}),
    }
    handle = _Handle(job.get("handle_path"))
    tool = "edit_image" if images else "generate_image"
    try:
        making = studio.make(
            tool, arguments, key=str(job["job_id"]), verbatim=True, roots=(root,), claimed=handle.write
        )
        async with making as result:
            return _answer(job, result, handle.entry)
    except (ApiError, ConnectionFailed):
        handle.remove()  # proven not to be billed: there is nothing to collect
        raise


async def collect(studio: Studio, job: Mapping[str, Any]) -> dict[str, Any]:
    """The pictures of a payment that was made before; nothing is sent, and nothing is paid."""
    id = str(job["collect_provider_job_id"])
    entry = await studio.payments.entry(id)
    if entry is None:
        raise _refused("adapter.no-payment", "collect_provider_job_id", id)
    if not entry.finished:
        entry = await studio.payments.finished(id, timeout=studio.settings.timeout)
    if entry.state == "undelivered":
        async with studio.fetch(id) as fetched:
            return _answer(job, fetched, id)
    if entry.result is None:
        error = OutcomeUnknown if entry.state == "unknown" else StoreError
        raise error(Message("adapter.not-collectable", id=id, state=entry.state), facts={"code": entry.state})
    return _answer(job, Result.from_dict(entry.result), id)


def public_error(error: SeedreamError, job: Mapping[str, Any]) -> dict[str, Any]:
    """The facts of an error that may be kept: no prompt, no path, no words of the service."""
    status = error.status if isinstance(error, ApiError) else None
    category = next((name for kind, name in CATEGORIES if isinstance(error, kind)), "provider_response")
    if status is not None:
        category = "server" if status >= SERVER_ERROR else BY_STATUS.get(status, "provider_response")
    code, request_id = (str(error.facts.get(name) or "") for name in ("code", "request_id"))
    found = {
        "provider": str(job.get("adapter", "seedframe")),
        "category": category,
        "code": code if TOKEN.fullmatch(code) else type(error).__name__,
        "http_status": status,
        "request_id": request_id if TOKEN.fullmatch(request_id) else None,
        "retryable": isinstance(error, ConnectionFailed) or (isinstance(error, ApiError) and error.retry),
    }
    return {name: value for name, value in found.items() if value is not None}


class _Handle:
    """The file in which the production tool finds a payment again after an attempt that was cut short."""

    def __init__(self, path: Any) -> None:
        self._path = Path(path) if isinstance(path, str) and path else None
        self.entry = ""

    def write(self, entry: str) -> None:
        """Note the payment's id; the job goes on where that fails, as the contract asks."""
        self.entry = entry
        if self._path is None:
            return
        part = self._path.with_name(f".{self._path.name}.part")
        with suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            part.write_text(json.dumps({"provider_job_id": entry}), encoding="utf-8")
            part.replace(self._path)

    def remove(self) -> None:
        """Nothing was paid under that id."""
        if self._path is not None:
            self._path.unlink(missing_ok=True)


def _prompt(job: Mapping[str, Any], bindings: Sequence[Mapping[str, Any]]) -> str:
    """The confirmed prompt as it is, and after it what each bound picture may and may not decide."""
    prompt = str(job["prompt"])
    language = str((job.get("parameters") or {}).get("prompt_language", "zh"))[:2]
    words: Mapping[str, str] = vocabulary("drama-skills")["contract"]["en" if language == "en" else "zh"]
    lines = [
        words["line"].format(
            number=number,
            label=binding["label"],
            may=words["and"].join(binding["may_control"]),
            never=words["and"].join(binding["must_not_control"]),
        )
        for number, binding in enumerate(bindings, 1)
    ]
    return "\n".join([prompt, words["head"], *lines]) if lines else prompt


def _answer(job: Mapping[str, Any], result: Result, entry: str) -> dict[str, Any]:
    """Copies in the staging folder, in the order of the targets; StoreError when pictures are missing."""
    targets, staging = [str(target) for target in job["outputs"]], Path(str(job["output_root"]))
    if len(result.pictures) < len(targets):
        message = Message("adapter.too-few", got=len(result.pictures), wanted=len(targets))
        raise StoreError(message, facts={"code": "partial"})
    outputs = []
    for number, (target, picture) in enumerate(zip(targets, result.pictures, strict=False), 1):
        suffix = Path(target).suffix.lower()
        source = staging / f"{number:02}{suffix}"
        check(picture.path, picture.sha256)
        put(picture.path, source)
        outputs.append({"target": target, "source": str(source)})
    return {"outputs": outputs, "provider_job_id": entry}


def _refused(key: str, field: str, got: Any) -> InvalidRequest:
    return InvalidRequest(Message(key, got=got), field=field, got=got, allowed=None)
