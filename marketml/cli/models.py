"""`marketml models`: what the registry keeps, and who answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from marketml.cli.command import CommandFailed, Context, command
from marketml.cli.output import Output, time_text
from marketml.clients.registry import RegistryClient
from marketml.registry.v1 import registry_pb2 as pb


@click.group()
def models() -> None:
    """List, load, download and delete models."""


@models.command("list")
@click.argument("name", required=False, default="")
@click.option("--limit", type=click.IntRange(1), help="At most so many.")
@command("registry")
def list_models(context: Context, name: str, limit: int | None) -> None:
    """List versions, newest first; only of NAME when given."""
    with _client(context) as registry:
        found = registry.list_models(name, limit=limit)
    if context.output.is_json:
        for model in found:
            context.output.line(model)
        return
    context.output.table(
        ("model", "version", "aliases", "registered", "features", "classes", "bytes", "digest"),
        [
            (
                model.model_name,
                model.version,
                ", ".join(model.aliases),
                model.create_time,
                model.feature_count,
                " ".join(model.class_names),
                model.size_bytes,
                model.digest[:12],
            )
            for model in found
        ],
    )


@models.command("show")
@click.argument("name")
@click.argument("version", type=click.IntRange(0), default=0)
@command("registry")
def show(context: Context, name: str, version: int) -> None:
    """Show a version (the newest by default) and its manifest."""
    with _client(context) as registry:
        model, manifest = registry.get_model(name, version)
    if context.output.is_json:
        context.output.document({"model": model, "manifest": manifest})
        return
    show_model(context.output, model)
    for key, value in manifest.items():
        context.output.show(f"{key}: {_short(value)}")


@models.command("load")
@click.argument("name")
@click.argument("version", type=click.IntRange(0), default=0)
@click.option("--alias", default="", help="Default champion.")
@click.option("--etag", default="", help="Only if the alias is still as it was seen.")
@command("registry")
def load(context: Context, name: str, version: int, alias: str, etag: str) -> None:
    """Point an alias at a version (the newest by default) once it is verified and warm."""
    with _client(context) as registry:
        loaded = registry.load_model(name, version, alias, etag)
    if context.output.is_json:
        context.output.document(loaded)
        return
    now = loaded.alias
    before = f", before version {loaded.previous_version}" if loaded.previous_version else ""
    context.output.show(f"{now.model_name}: {now.alias} is version {now.model.version}{before}.")


@models.command("current")
@click.argument("name")
@click.option("--alias", default="", help="Default champion.")
@command("registry")
def current(context: Context, name: str, alias: str) -> None:
    """Say which version an alias points at."""
    with _client(context) as registry:
        found = registry.get_current_model(name, alias)
    if context.output.is_json:
        context.output.document(found)
        return
    context.output.show(f"{found.alias} since {time_text(found.since_time)}:")
    show_model(context.output, found.model)


@models.command("delete")
@click.argument("name")
@click.argument("version", type=click.IntRange(1))
@command("registry")
def delete(context: Context, name: str, version: int) -> None:
    """Delete a version that no alias points at."""
    with _client(context) as registry:
        freed = registry.delete_model(name, version)
    if context.output.is_json:
        context.output.document({"freed_bytes": freed})
    else:
        context.output.show(f"Deleted {name} version {version}: {freed:,} bytes freed.")


@models.command("download")
@click.argument("name")
@click.argument("version", type=click.IntRange(0), default=0)
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="Folder. Default NAME-VERSION.")
@command("registry")
def download(context: Context, name: str, version: int, out: Path | None) -> None:
    """Write a version's files into a folder, their digests checked."""
    with _client(context) as registry:
        if version == 0:
            version = registry.get_model(name)[0].version
        bundle = registry.download_model(name, version)
    folder = out or Path(f"{name}-{version}")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for file, content in bundle.contents.items():
            (folder / file).write_bytes(content)
    except OSError as error:
        raise CommandFailed(f"{folder} cannot be written: {error.strerror}.") from None
    if context.output.is_json:
        files = {entry.name: entry.sha256 for entry in bundle.files}
        context.output.document({"folder": str(folder), "digest": bundle.digest, "files": files})
    else:
        context.output.show(f"{folder}: {', '.join(sorted(bundle.contents))}; digest {bundle.digest}")


def show_model(output: Output, model: pb.Model) -> None:
    """A version for people."""
    output.show(f"{model.model_name} version {model.version}, digest {model.digest}")
    output.show(f"  registered {time_text(model.create_time)}, {model.size_bytes:,} bytes")
    output.show(f"  {model.feature_count} features, classes {', '.join(model.class_names)}")
    if model.job_id:
        output.show(f"  job {model.job_id}")
    if model.snapshot_id:
        output.show(f"  snapshot {model.snapshot_id}")


def _client(context: Context) -> RegistryClient:
    return RegistryClient(context.endpoint("registry"), tls=context.tls)


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 300 else f"{text[:300]}… (whole with --json)"
