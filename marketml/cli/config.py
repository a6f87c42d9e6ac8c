"""`marketml config`: what operators decide."""

from __future__ import annotations

from typing import Any

import click
import yaml
from google.protobuf.message import Message

from marketml.cli.command import Context, command
from marketml.cli.documents import to_message
from marketml.cli.output import Output, plain
from marketml.clients.registry import RegistryClient
from marketml.registry.v1 import registry_pb2 as pb


@click.group()
def config() -> None:
    """Read and change the platform's config."""


@config.command("get")
@click.argument("path", required=False)
@command("registry")
def get(context: Context, path: str | None) -> None:
    """Show the config in force, or the part at PATH, as training.split.folds."""
    with RegistryClient(context.endpoint("registry"), tls=context.tls) as registry:
        found = registry.get_config()
    part = plain(found.config)
    for name in path.split(".") if path else []:
        if not isinstance(part, dict) or name not in part:
            raise click.UsageError(f"The config has nothing at {path}.")
        part = part[name]
    if context.output.is_json:
        context.output.document({"config": part, "version": found.version, "etag": found.etag})
    else:
        _show(context.output, part, found.version)


@config.command("set")
@click.argument("changes", nargs=-1, required=True, metavar="PATH=VALUE…")
@click.option("--etag", help="Only if the config is still as it was seen; default: as it is now.")
@command("registry")
def set_values(context: Context, changes: tuple[str, ...], etag: str | None) -> None:
    """Change fields: marketml config set training.split.folds=6 labels.triple_barrier.horizon_bars=48."""
    new: dict[str, Any] = {}
    paths = []
    for change in changes:
        path, equals, text = change.partition("=")
        if not equals or not path:
            raise click.UsageError(f"Write PATH=VALUE: {change!r}.")
        paths.append(path)
        part = new
        *parents, last = path.split(".")
        for name in parents:
            part = part.setdefault(name, {})
            if not isinstance(part, dict):
                raise click.UsageError(f"{path} lies inside another change.")
        try:
            part[last] = yaml.safe_load(text)
        except yaml.YAMLError:
            part[last] = text
    message: pb.PlatformConfig = to_message(new, pb.PlatformConfig(), "changes")
    with RegistryClient(context.endpoint("registry"), tls=context.tls) as registry:
        changed = registry.update_config(message, paths, etag or registry.get_config().etag)
    _show_changed(context.output, changed)


@config.command("reset")
@click.option("--etag", default="", help="Only if the config is still as it was seen.")
@command("registry")
def reset(context: Context, etag: str) -> None:
    """Go back to the built-in defaults."""
    with RegistryClient(context.endpoint("registry"), tls=context.tls) as registry:
        changed = registry.reset_config(etag)
    _show_changed(context.output, changed)


def _show_changed(output: Output, changed: Message) -> None:
    found = plain(changed)
    if output.is_json:
        output.document(found)
    else:
        output.show(f"Version {found['version']} is in force.")


def _show(output: Output, part: Any, version: int) -> None:
    output.say(f"Version {version}")
    if isinstance(part, dict):
        output.show(yaml.safe_dump(part, sort_keys=False).rstrip())
    else:
        output.show(str(part))
