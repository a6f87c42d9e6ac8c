"""DataFrames to files, and from them."""

from __future__ import annotations

from pathlib import Path

import click
import pandas as pd

from marketml.cli.command import CommandFailed
from marketml.cli.output import Output


def write_frame(output: Output, frame: pd.DataFrame, out: Path | None) -> None:
    """Print a frame, or write it to a file whose ending names the form."""
    if out is None:
        output.frame(frame)
        return
    try:
        match out.suffix:
            case ".parquet":
                frame.to_parquet(out)
            case ".feather":
                frame.reset_index().to_feather(out)
            case ".csv":
                frame.to_csv(out, date_format="%Y-%m-%dT%H:%M:%S.%fZ")
            case _:
                raise click.UsageError(f"--out must end in .csv, .parquet or .feather: {out}.")
    except OSError as error:
        raise CommandFailed(f"{out} cannot be written: {error.strerror}.") from None
    if output.is_json:
        output.document({"rows": len(frame), "columns": list(frame.columns), "file": str(out)})
    else:
        output.show(f"{len(frame):,} rows, {frame.shape[1]} columns: {out}")


def read_features(path: Path) -> pd.DataFrame:
    """Rows of features from a file that `write_frame` wrote, or any with a column or index `open_time`."""
    try:
        match path.suffix:
            case ".parquet":
                frame = pd.read_parquet(path)
            case ".feather":
                frame = pd.read_feather(path)
            case ".csv":
                frame = pd.read_csv(path)
            case _:
                raise click.UsageError(f"The file must end in .csv, .parquet or .feather: {path}.")
    except OSError as error:
        raise CommandFailed(f"{path} cannot be read: {error.strerror or error}.") from None
    except ValueError as error:
        raise CommandFailed(f"{path} cannot be read: {str(error).splitlines()[0]}.") from None
    if "open_time" in frame.columns:
        frame = frame.set_index("open_time")
    if frame.index.name != "open_time":
        raise CommandFailed(f"{path} has no column open_time.")
    try:
        frame.index = pd.to_datetime(frame.index, utc=True)
        return frame.astype("float64")
    except ValueError as error:
        raise CommandFailed(f"{path} is no table of numbers over time: {error}.") from None
