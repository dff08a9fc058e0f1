"""Every command of the program, with its path, and a sentence that its tests ask pictures with."""

from __future__ import annotations

from collections.abc import Iterator

import click

ALLEY = "雨后的江南小巷，一位撑着油纸伞的少女走过青石板路，灯笼的暖光映在积水里，电影感竖幅画面。"


def walked(group: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    yield path, group
    if isinstance(group, click.Group):
        context = click.Context(group)
        commands = {name: group.get_command(context, name) for name in group.list_commands(context)}
        for name, command in commands.items():
            assert command is not None
            yield from walked(command, (*path, name))
