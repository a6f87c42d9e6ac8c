"""`marketml up`: the four rooms, kept running."""

from __future__ import annotations

from pathlib import Path

import click

from marketml.cli.command import Context, command
from marketml.cli.rooms import PORTS, Rooms, ending_on_signals


@click.command()
@click.option(
    "--folder",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path(".run"),
    show_default=True,
    help="Where databases, snapshots, models and logs lie.",
)
@click.option("--free-ports", is_flag=True, help="Take any free ports instead of 50051 to 50054.")
@command()
def up(context: Context, folder: Path, free_ports: bool) -> None:
    """Start the four rooms and keep them running until Ctrl-C.

    A room that dies is started again. Settings are environment variables, MARKETML_<ROOM>_<SETTING>.
    """
    output = context.output

    def say(event: str, room: str, text: str) -> None:
        if output.is_json:
            output.line({"event": event, "room": room, "text": text})
        else:
            output.show(f"{room:<9} {'serves on ' if event == 'ready' else 'died: '}{text}")

    ports = dict.fromkeys(PORTS, 0) if free_ports else PORTS
    with ending_on_signals(), Rooms(folder, ports, say) as rooms:
        try:
            rooms.start()
            output.say(f"All rooms serve; their logs lie in {folder / 'logs'}. Ctrl-C stops them.")
            rooms.watch()
        except KeyboardInterrupt:
            output.say("Stopping.")
