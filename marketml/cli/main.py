"""The `marketml` command.

Modules of commands are imported when their command is used: `marketml up` needs no pandas.
"""

from __future__ import annotations

import importlib
from typing import Any

import click

# Command: (module, name in it, what it does).
_COMMANDS = {
    "demo": ("demo", "demo", "Run the whole workflow on real market data."),
    "up": ("up", "up", "Start the four rooms and keep them running."),
    "status": ("status", "status", "Ask every room how it is."),
    "data": ("data", "data", "Import, list and read market data; make snapshots."),
    "features": ("features", "features", "List, compute and check features."),
    "train": ("train", "train", "Start, watch, list and stop training jobs; read their logs."),
    "models": ("models", "models", "List, load, download and delete models."),
    "predict": ("predict", "predict", "Ask a model about the newest bars, or about rows of a file."),
    "config": ("config", "config", "Read and change the platform's config."),
}


class _Commands(click.Group):
    """Finds commands in their modules."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module, name, _ = _COMMANDS[cmd_name]
        found: click.Command = getattr(importlib.import_module(f"marketml.cli.{module}"), name)
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, meaning) for name, (_, _, meaning) in _COMMANDS.items()])


@click.group(
    cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110}
)
@click.version_option(package_name="marketml")
def cli() -> None:
    """Machine-learning training platform for crypto markets: data, features, training, registry.

    Exit status: 0 done, 1 failed, 2 wrong usage, 3 refused by a server.
    """


def main(arguments: list[str] | None = None) -> Any:
    """Run the command."""
    return cli.main(args=arguments, prog_name="marketml")


if __name__ == "__main__":
    main()
