"""What the engine may read from its tables: JSON. A row of any other form is refused and never decoded.

DBOS lets each row name the form it was written in and decodes by that name; one of the names is Python's pickle, which
runs code when it is read. Whoever can write the tables could so run code on every worker, whichever form is configured.
In: the engine's tables. Out: the serializer to configure, a library that refuses pickled rows, or an error that says
which rows stand in the way. Never in here: a row being decoded.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from seedframe.errors import NotConfigured
from seedframe.messages import Message

NAMED_BY = "serialization"
"""The column in which a row names its form; without a name it is read as the configured one."""

_PICKLED_NONE = "gAROLg=="
"""`None` in the refused form: harmless, and enough to see that it is refused."""


class RowRefused(ValueError):
    """A row in a form that could run code. It was not decoded."""


def json_only() -> Any:
    """The library's own JSON serializer, once every way to decode a pickled row is closed for this process.

    NotConfigured when the installed version decodes such rows in a way that is not known here.
    """
    from dbos import _serialization

    serializer = _serialization.DBOSPortableJSONSerializer()
    # Every reader ends in this one method, as the default serializer or by the name in a row.
    _serialization.DefaultSerializer.deserialize = _refuse  # type: ignore[method-assign,assignment]
    readers = (_serialization.deserialize_value, _serialization.deserialize_args, _serialization.deserialize_exception)
    pickle = _serialization.DefaultSerializer().name()
    if not all(_is_refused(reader, pickle, serializer) for reader in readers):
        raise NotConfigured(Message("board_folder.engine-unsafe"), advice=Message("board_folder.engine-unsafe-advice"))
    return serializer


def check_rows(engine: Any, schema: str | None, shown: str) -> None:
    """See that every row of the engine's tables is JSON; NotConfigured names the tables that hold anything else.

    `engine` is an SQLAlchemy engine, `shown` the database as it may be shown.
    """
    import sqlalchemy as sa

    allowed = json_only().name()
    with engine.connect() as connection:
        columns = sa.inspect(connection).get_multi_columns(schema=schema)
        odd = [
            table
            for (_, table), found in columns.items()
            if any(column["name"] == NAMED_BY for column in found)
            and _has_other_form(connection, sa.table(table, sa.column(NAMED_BY), schema=schema), allowed)
        ]
    if odd:
        raise NotConfigured(
            Message("board_folder.rows-refused", database=shown, tables=sorted(odd)),
            advice=Message("board_folder.rows-refused-advice", schema=schema or "main"),
            facts={"setting": "database", "tables": sorted(odd)},
        )


def _has_other_form(connection: Any, table: Any, allowed: str) -> bool:
    import sqlalchemy as sa

    return connection.execute(sa.select(1).where(table.c[NAMED_BY] != allowed).limit(1)).first() is not None


def _refuse(_serializer: Any, _content: str) -> Any:
    raise RowRefused(str(Message("board_folder.row-refused")))


def _is_refused(reader: Callable[..., Any], name: str, serializer: Any) -> bool:
    try:
        reader(_PICKLED_NONE, name, serializer)
    except RowRefused:
        return True
    return False
