"""Stage 5 where pictures go to an object store: what was saved here is stored there before a result is handed over.

In: a `Result` whose pictures are on this disk. Out: the same with addresses and links, once the store has proven that
it holds every picture; NotUploaded where it did not, and then nothing is lost: the files stay, and the payment record
gives the same result to the next identical call. Never in here: a payment, a second picture for the same money.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Self

from seedframe.errors import StoreError
from seedframe.messages import Message
from seedframe.objects.bucket import AlreadyThere
from seedframe.objects.mirror import Mirror
from seedframe.settings import Settings
from seedframe.studio.types import Picture, Result


class NotUploaded(StoreError):
    """Paid pictures are saved on this disk and not in the object store yet."""


class RemoteCopies:
    """The object store behind an output folder."""

    def __init__(self, mirror: Mirror) -> None:
        self._mirror = mirror
        self._writable = False

    @classmethod
    def of(cls, settings: Settings) -> Self | None:
        """None where pictures stay on this disk. NotConfigured where the store's library is missing."""
        mirror = Mirror.of(settings.output_dir, settings)
        return None if mirror is None else cls(mirror)

    def check(self) -> None:
        """StoreError before anything is paid where the store cannot be written to; asked until it could be once."""
        if not self._writable:
            self._mirror.check()
            self._writable = True

    def send(self, entry: str, result: Result) -> Result:
        """Store every picture of a result; what is there already is not sent again."""
        try:
            pictures = tuple(self._sent(picture) for picture in result.pictures)
            if result.layers_manifest is not None:
                self._mirror.send(result.layers_manifest, replace=True)
            self._mirror.trim()
        except StoreError as error:
            paths = [str(path) for path in result.paths]
            raise NotUploaded(
                Message("objects.not-uploaded", paths=paths, place=self._mirror.place, why=error.message),
                advice=Message("objects.not-uploaded-advice", entry=entry),
                facts={**error.facts, "entry": entry, "billed": "yes", "paths": paths},
            ) from error
        return replace(result, pictures=pictures)

    def bring(self, path: Path) -> Path:
        """The file, brought back where it had left the cache; it may still be missing."""
        if path.is_relative_to(self._mirror.folder):
            self._mirror.bring([path.relative_to(self._mirror.folder).as_posix()])
        return path

    def _sent(self, picture: Picture) -> Picture:
        originals = [picture.original] if picture.original else []
        try:
            self._mirror.send_picture(picture.path, *originals)
        except AlreadyThere:
            # Another machine saved a picture under this name. Ours gets one that only its payment can have.
            number = picture.id.partition(":")[2]
            path = picture.path.with_stem(f"{picture.path.stem}-{number}")
            self._mirror.send(picture.path, name=self._name(path))
            return replace(picture, url=self._mirror.address(path), link=self._mirror.link(path))
        return replace(picture, url=self._mirror.address(picture.path), link=self._mirror.link(picture.path))

    def _name(self, path: Path) -> str:
        inside = path.is_relative_to(self._mirror.folder)
        return path.relative_to(self._mirror.folder).as_posix() if inside else path.name
