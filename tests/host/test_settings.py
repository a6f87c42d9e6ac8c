"""Settings: read from the environment, typed, in range, and what is wrong names the variable."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from services.host import NeighbourSettings, ServerSettings, SettingsError, read_settings
from services.host.settings import is_loopback, split_address
from tests.support.servers import RoomProcess


@dataclass(frozen=True, kw_only=True)
class EchoSettings(ServerSettings):
    """The settings of a room of its own."""

    address: str = "127.0.0.1:50059"
    folder: Path = Path(".run/echo")
    limit: int | None = None


@dataclass(frozen=True, kw_only=True)
class Required:
    """A setting without a default."""

    secret: str


def read(**variables: str) -> EchoSettings:
    return read_settings(
        EchoSettings, "echo", {f"MARKETML_ECHO_{name.upper()}": value for name, value in variables.items()}
    )


def test_absent_variables_keep_the_defaults_and_other_rooms_variables_are_not_ours() -> None:
    assert (
        read_settings(EchoSettings, "echo", {"MARKETML_DATA_NONSENSE": "1", "PATH": "/bin"}) == EchoSettings()
    )


def test_every_kind_of_value_is_read_as_its_type() -> None:
    settings = read(
        address="[::1]:9000",
        reflection="no",
        threads_count="3",
        grace_seconds="0.5",
        folder="/srv/x",
        limit="7",
    )
    assert settings.address == "[::1]:9000"
    assert settings.reflection is False
    assert settings.threads_count == 3
    assert settings.grace_seconds == 0.5
    assert settings.folder == Path("/srv/x")
    assert settings.limit == 7
    assert read(limit="").limit is None


def test_health_and_metrics_stand_beside_the_address_unless_named() -> None:
    settings = read()
    assert (settings.health_target(), settings.metrics_target()) == ("127.0.0.1:51059", "127.0.0.1:52059")
    assert read(address="127.0.0.1:0").health_target() == "127.0.0.1:0"
    assert read(health_address="127.0.0.1:1").health_target() == "127.0.0.1:1"
    with pytest.raises(SettingsError, match=r"address leaves no room for port \+ 2000: '127.0.0.1:64000'"):
        read(address="127.0.0.1:64000").metrics_target()


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        ({"threads_count": "many"}, "MARKETML_ECHO_THREADS_COUNT must be a whole number: 'many'."),
        ({"threads_count": "1.5"}, "MARKETML_ECHO_THREADS_COUNT must be a whole number: '1.5'."),
        ({"threads_count": "0"}, "MARKETML_ECHO_THREADS_COUNT must be a positive number: 0."),
        ({"grace_seconds": "soon"}, "MARKETML_ECHO_GRACE_SECONDS must be a number: 'soon'."),
        ({"grace_seconds": "-1"}, "MARKETML_ECHO_GRACE_SECONDS must be a positive number: -1.0."),
        ({"grace_seconds": "nan"}, "MARKETML_ECHO_GRACE_SECONDS must be a positive number: nan."),
        ({"handshake_seconds": "inf"}, "MARKETML_ECHO_HANDSHAKE_SECONDS must be a positive number: inf."),
        ({"reflection": "maybe"}, "MARKETML_ECHO_REFLECTION must be true or false: 'maybe'."),
        ({"folder": ""}, "MARKETML_ECHO_FOLDER must be a path: it is empty."),
        ({"nonsense": "1"}, "MARKETML_ECHO_NONSENSE is not a setting of the echo room."),
        ({"log_level": "LOUD"}, "MARKETML_ECHO_LOG_LEVEL must be DEBUG, INFO, WARNING or ERROR: 'LOUD'."),
        (
            {"address": "127.0.0.1"},
            "MARKETML_ECHO_ADDRESS must be host:port with a port from 0 to 65535: '127.0.0.1'.",
        ),
        (
            {"metrics_address": "127.0.0.1:65536"},
            "MARKETML_ECHO_METRICS_ADDRESS must be host:port with a port from 0 to 65535: '127.0.0.1:65536'.",
        ),
        (
            {"tls_key": "/srv/key.pem"},
            "MARKETML_ECHO_TLS_CERTIFICATE and MARKETML_ECHO_TLS_KEY must be given together.",
        ),
        (
            {"tls_client_authority": "/srv/ca.pem"},
            "MARKETML_ECHO_TLS_CLIENT_AUTHORITY needs MARKETML_ECHO_TLS_CERTIFICATE and "
            "MARKETML_ECHO_TLS_KEY.",
        ),
    ],
)
def test_a_setting_that_cannot_be_used_is_named_by_its_variable(
    variables: dict[str, str], sentence: str
) -> None:
    with pytest.raises(SettingsError) as raised:
        read(**variables)
    assert str(raised.value) == sentence


def test_a_required_setting_that_is_absent_is_named() -> None:
    with pytest.raises(SettingsError, match=r"^MARKETML_ECHO_SECRET is required and not set\.$"):
        read_settings(Required, "echo", {})
    assert read_settings(Required, "echo", {"MARKETML_ECHO_SECRET": "x"}) == Required(secret="x")


@pytest.mark.parametrize("address", ["0.0.0.0:50059", "[::]:50059", "10.0.0.1:50059", "data.internal:50059"])
def test_plaintext_beyond_loopback_is_refused_unless_allowed(address: str) -> None:
    with pytest.raises(SettingsError) as raised:
        read(address=address)
    assert str(raised.value) == (
        f"MARKETML_ECHO_ADDRESS must stay on loopback without TLS: {address!r}; set "
        "MARKETML_ECHO_TLS_CERTIFICATE and MARKETML_ECHO_TLS_KEY, or MARKETML_ECHO_ALLOW_INSECURE=true "
        "to serve plaintext there."
    )
    assert read(address=address, allow_insecure="true").address == address
    assert read(address=address, tls_certificate="/srv/c.pem", tls_key="/srv/k.pem").address == address


def test_loopback_is_told_apart() -> None:
    assert all(is_loopback(f"{host}:1") for host in ("127.0.0.1", "127.9.9.9", "localhost", "[::1]"))
    assert not any(
        is_loopback(f"{host}:1") for host in ("0.0.0.0", "[::]", "localhost.example", "", "1.2.3.4")
    )
    assert split_address("[::1]:80") == ("::1", 80)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"address": "0.0.0.0:0"}, "MARKETML_ECHO_ADDRESS must stay on loopback without TLS"),
        ({"adress": "127.0.0.1:0"}, "MARKETML_ECHO_ADRESS is not a setting of the echo room."),
    ],
)
def test_a_process_with_a_setting_it_cannot_use_ends_with_one_sentence(
    tmp_path: Path, settings: dict[str, str], sentence: str
) -> None:
    room = RoomProcess("echo", tmp_path, module="tests.host.echo_room", **settings)
    assert room.wait() == 1
    (line,) = room.log().splitlines()
    assert sentence in line


@dataclass(frozen=True, kw_only=True)
class CallingSettings(NeighbourSettings):
    echo_target: str = "127.0.0.1:50051"


@pytest.mark.parametrize("value", ["", "localhost", "somewhere:0", "somewhere:65536"])
def test_a_neighbour_that_is_no_address_is_named(value: str):
    with pytest.raises(SettingsError, match="MARKETML_ECHO_ECHO_TARGET"):
        read_settings(CallingSettings, "echo", {"MARKETML_ECHO_ECHO_TARGET": value})
