"""The place outside a board's folder where this user's machine keeps what it knows of the board's runs.

In: the path of the payment record (it lies in the user's data folder) and the run's database file. Out: a private
folder for each database file, named by its real path: the engine's own file, and which boards were examined.
Never in here: anything that a copied folder brings along.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from seedframe.private_files import make_private_folder, open_private

ENGINE_FILE = "engine.sqlite3"
EXAMINED_FILE = "boards.json"


@dataclass(frozen=True, slots=True)
class BoardHome:
    """What is kept for one database file."""

    folder: Path

    @classmethod
    def of(cls, call_payments: Path, payments: Path) -> BoardHome:
        """The home of the runs in that file; nothing is made yet."""
        name = hashlib.sha256(str(payments.resolve()).encode("utf-8", "surrogateescape")).hexdigest()[:32]
        return cls(call_payments.with_name(f"{call_payments.name}.boards") / name)

    def engine(self) -> Path:
        """Where the engine keeps its tables; the folder is there when this returns."""
        make_private_folder(self.folder.parent)
        return make_private_folder(self.folder) / ENGINE_FILE

    def has_engine(self) -> bool:
        """Whether the engine's file was ever made."""
        return (self.folder / ENGINE_FILE).exists()

    def knows(self, board: str) -> bool:
        """Whether this machine has examined that board, in this place, and found it in order."""
        return board in self._examined()

    def remember(self, board: str) -> None:
        """Note that the board was examined here."""
        path = self.engine().with_name(EXAMINED_FILE)
        examined = sorted({*self._examined(), board})
        with open(path, "w", encoding="utf-8", opener=open_private) as file:
            json.dump(examined, file)

    def _examined(self) -> list[str]:
        try:
            described = json.loads((self.folder / EXAMINED_FILE).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return []
        return [str(board) for board in described] if isinstance(described, list) else []
