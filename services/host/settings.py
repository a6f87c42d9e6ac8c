"""Settings: frozen dataclasses read from `MARKETML_<ROOM>_*`, and those every server shares.

A room derives its own from `ServerSettings`, gives `address` its port, and reads them once at start:

    @dataclass(frozen=True, kw_only=True)
    class DataSettings(ServerSettings):
        address: str = "127.0.0.1:50051"
        database_url: str = "sqlite:///data.sqlite"

    settings = read_settings(DataSettings, "data")
"""

from __future__ import annotations

import dataclasses
import ipaddress
import math
import os
import re
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

HEALTH_PORT_OFFSET = 1000
METRICS_PORT_OFFSET = 2000

T = TypeVar("T")
C = TypeVar("C", bound="ClusterSettings")

_SCHEDULER = re.compile(r"(tcp|tls|ws|wss)://[^\s/]+:\d{1,5}")


class SettingsError(ValueError):
    """A setting that cannot be used. The message is one sentence and begins with the setting."""


@dataclass(frozen=True, kw_only=True)
class ServerSettings:
    """What `serve` needs. Every field is read from `MARKETML_<ROOM>_<FIELD>`.

    `address` is `host:port`; port 0 takes any free one, for health and metrics too. These two stand on the
    same host at port + 1000 and port + 2000 unless named; they are plaintext and hold nothing secret.
    """

    address: str = "127.0.0.1:0"
    health_address: str | None = None
    metrics_address: str | None = None

    tls_certificate: Path | None = None
    tls_key: Path | None = None
    tls_client_authority: Path | None = None  # PEM; when given, callers must show a certificate it signed
    allow_insecure: bool = False  # plaintext beyond loopback

    reflection: bool = True
    log_level: str = "INFO"

    threads_count: int = 16
    unary_in_flight_count: int = 64
    unary_queue_count: int = 32
    streams_count: int = 2000

    unary_deadline_seconds: float = 30.0  # of a caller who names none; so are the next two
    upload_deadline_seconds: float = 600.0
    stream_deadline_seconds: float = 3600.0
    stream_write_seconds: float = 30.0  # a reader who takes no message for so long loses the stream
    stream_read_seconds: float = 60.0  # an uploader who sends no message for so long loses the call
    grace_seconds: float = 20.0

    message_bytes: int = 4 * 1024 * 1024
    metadata_soft_bytes: int = 8 * 1024
    metadata_hard_bytes: int = 16 * 1024
    handshake_seconds: float = 4.0
    keepalive_seconds: float = 30.0
    keepalive_timeout_seconds: float = 10.0
    ping_interval_floor_seconds: float = 20.0
    connection_age_seconds: float = 1800.0
    connection_grace_seconds: float = 3600.0  # as long as a stream may last: less would cut it off
    connection_streams_count: int = 256

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if field.name.endswith(("_seconds", "_bytes", "_count")) and value is not None:
                smallest_allowed = field.name in ("grace_seconds", "unary_queue_count")
                if not (value > 0 or (smallest_allowed and value == 0)) or not math.isfinite(value):
                    raise SettingsError(f"{field.name} must be a positive number: {value!r}.")
        for name in ("address", "health_address", "metrics_address"):
            value = getattr(self, name)
            if value is not None:
                _split(name, value)
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise SettingsError("tls_certificate and tls_key must be given together.")
        if self.tls_client_authority is not None and self.tls_certificate is None:
            raise SettingsError("tls_client_authority needs tls_certificate and tls_key.")
        if self.tls_certificate is None and not self.allow_insecure and not is_loopback(self.address):
            raise SettingsError(
                f"address must stay on loopback without TLS: {self.address!r}; set tls_certificate and "
                "tls_key, or allow_insecure=true to serve plaintext there."
            )
        if self.log_level not in ("DEBUG", "INFO", "WARNING", "ERROR"):
            raise SettingsError(f"log_level must be DEBUG, INFO, WARNING or ERROR: {self.log_level!r}.")

    def health_target(self) -> str:
        """Where health listens."""
        return self.health_address or _shifted(self.address, HEALTH_PORT_OFFSET)

    def metrics_target(self) -> str:
        """Where metrics, `/livez` and `/readyz` listen."""
        return self.metrics_address or _shifted(self.address, METRICS_PORT_OFFSET)


@dataclass(frozen=True, kw_only=True)
class NeighbourSettings(ServerSettings):
    """Those of a room that calls others. Each field `<room>_target` is the `host:port` of one;
    `neighbour_tls*` say how all of them are reached."""

    neighbour_tls: bool = False
    neighbour_tls_authority: Path | None = None  # PEM; None trusts the system's authorities
    neighbour_tls_certificate: Path | None = None
    neighbour_tls_key: Path | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        for field in dataclasses.fields(self):
            if field.name.endswith("_target"):
                _split(field.name, getattr(self, field.name), lowest_port=1)
        if (self.neighbour_tls_certificate is None) != (self.neighbour_tls_key is None):
            raise SettingsError("neighbour_tls_certificate and neighbour_tls_key must be given together.")
        if not self.neighbour_tls and (self.neighbour_tls_authority or self.neighbour_tls_certificate):
            raise SettingsError("neighbour_tls must be true when files for it are given.")


@dataclass(frozen=True, kw_only=True)
class ClusterSettings(NeighbourSettings):
    """Those of a room that may compute on a Dask cluster: that of `dask_scheduler`, as `tcp://host:8786`."""

    dask_scheduler: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        scheduler = self.dask_scheduler
        if scheduler is not None and not _SCHEDULER.fullmatch(scheduler):
            raise SettingsError(f"dask_scheduler must be like tcp://host:8786: {scheduler!r}.")


def with_cluster(settings: C) -> C:
    """The settings with the cluster of all rooms, `MARKETML_DASK_SCHEDULER`, if the room has none of its own.

    Raises
    ------
    SettingsError
    """
    ours = os.environ.get("MARKETML_DASK_SCHEDULER")
    if settings.dask_scheduler is not None or not ours:
        return settings
    if not _SCHEDULER.fullmatch(ours):
        raise SettingsError(f"MARKETML_DASK_SCHEDULER must be like tcp://host:8786: {ours!r}.")
    return dataclasses.replace(settings, dask_scheduler=ours)


def read_settings(kind: type[T], room: str, environment: Mapping[str, str] | None = None) -> T:
    """Read a frozen dataclass of settings from `MARKETML_<ROOM>_<FIELD>`; absent variables keep defaults.

    Field types: str, int, float, bool (true/false), Path, and any of them or None (empty text is None).

    Raises
    ------
    SettingsError
        A value of the wrong type or range, a required one that is absent, or a `MARKETML_<ROOM>_…` variable
        that no setting has; it names the variable.
    """
    environment = os.environ if environment is None else environment
    prefix = f"MARKETML_{room.upper()}_"
    hints = typing.get_type_hints(kind)
    fields = {prefix + field.name.upper(): field for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    unknown = sorted(name for name in environment if name.startswith(prefix) and name not in fields)
    if unknown:
        raise SettingsError(f"{unknown[0]} is not a setting of the {room} room.")
    values: dict[str, Any] = {}
    for variable, field in fields.items():
        if variable in environment:
            values[field.name] = _parsed(variable, hints[field.name], environment[variable])
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise SettingsError(f"{variable} is required and not set.")
    try:
        return kind(**values)
    except SettingsError as error:
        raise SettingsError(with_variables(str(error), kind, room)) from None


def with_variables(sentence: str, kind: type[Any], room: str) -> str:
    """A sentence about settings of `kind`, with its field names as the variables they are read from."""
    names = {field.name for field in dataclasses.fields(kind)}
    words = sentence.split(" ")
    for position, word in enumerate(words):
        name = word.partition("=")[0].rstrip(",;.:")
        if name in names:
            words[position] = word.replace(name, f"MARKETML_{room.upper()}_{name.upper()}", 1)
    return " ".join(words)


def split_address(address: str) -> tuple[str, int]:
    """`host:port` in two; an IPv6 host stands in brackets."""
    host, _, port = address.rpartition(":")
    return host.removeprefix("[").removesuffix("]"), int(port)


def is_loopback(address: str) -> bool:
    """Whether only this machine can reach the address. A name other than `localhost` is not trusted."""
    host, _ = split_address(address)
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _split(name: str, value: str, lowest_port: int = 0) -> tuple[str, int]:
    try:
        host, port = split_address(value)
    except ValueError:
        host, port = "", -1
    if not host or not lowest_port <= port <= 65535:
        raise SettingsError(f"{name} must be host:port with a port from {lowest_port} to 65535: {value!r}.")
    return host, port


def _shifted(address: str, offset: int) -> str:
    host, _, port = address.rpartition(":")
    if port == "0":
        return address
    shifted = int(port) + offset
    if shifted > 65535:
        raise SettingsError(f"address leaves no room for port + {offset}: {address!r}.")
    return f"{host}:{shifted}"


def _parsed(variable: str, kind: Any, text: str) -> Any:
    if isinstance(kind, types.UnionType) or typing.get_origin(kind) is typing.Union:
        if text == "":
            return None
        kind = next(option for option in typing.get_args(kind) if option is not types.NoneType)
    if kind is bool:
        if text.lower() in ("true", "1", "yes", "on"):
            return True
        if text.lower() in ("false", "0", "no", "off"):
            return False
        raise SettingsError(f"{variable} must be true or false: {text!r}.")
    if kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            what = "a whole number" if kind is int else "a number"
            raise SettingsError(f"{variable} must be {what}: {text!r}.") from None
    if kind is Path:
        if not text:
            raise SettingsError(f"{variable} must be a path: it is empty.")
        return Path(text)
    if kind is str:
        return text
    raise TypeError(f"{variable}: a setting cannot be a {kind}.")
