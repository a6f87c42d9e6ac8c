"""TLS by setting: who is let in, who is not, and what is said about files that cannot be used."""

from __future__ import annotations

import socket
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from marketml.rpc import channels, refusals
from marketml.rpc.channels import Tls
from services.host import SettingsError
from tests.host.echo_service import Echo, Word, call, served
from tests.support.certificates import Authority, Pair
from tests.support.servers import RoomProcess


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("certificates")


@pytest.fixture(scope="module")
def authority(folder: Path) -> Authority:
    return Authority(folder, "authority")


@pytest.fixture(scope="module")
def pair(authority: Authority) -> Pair:
    return authority.sign("server")


@pytest.fixture(scope="module")
def stranger(folder: Path) -> Authority:
    return Authority(folder, "stranger")


def speaks(target: str, tls: Tls | None) -> bool:
    """Whether a caller with these credentials gets an answer."""
    with channels.open_channel(target, tls=tls) as channel:
        try:
            return bool(call(channel, "GetWord")(Word(text="hello"), timeout=20).text == "hello")
        except refusals.Unavailable:
            return False


def test_a_caller_who_trusts_the_authority_is_answered_and_others_are_not(
    authority: Authority, stranger: Authority, pair: Pair
) -> None:
    with served(Echo(), tls_certificate=pair.certificate, tls_key=pair.key) as room:
        assert speaks(room.target, Tls(authority=authority.certificate))
        assert not speaks(room.target, Tls(authority=stranger.certificate))
        assert not speaks(room.target, Tls())
        assert not speaks(room.target, None)
        assert speaks(room.target, Tls(authority=authority.certificate))


def test_a_caller_may_name_the_server_it_expects(authority: Authority, pair: Pair) -> None:
    with served(Echo(), tls_certificate=pair.certificate, tls_key=pair.key) as room:
        assert speaks(room.target, Tls(authority=authority.certificate, server_name="localhost"))
        assert not speaks(room.target, Tls(authority=authority.certificate, server_name="other.example"))


def test_mutual_tls_asks_callers_for_a_certificate_of_the_authority(
    authority: Authority, stranger: Authority, pair: Pair
) -> None:
    known, unknown = authority.sign("caller"), stranger.sign("intruder")
    with served(
        Echo(),
        tls_certificate=pair.certificate,
        tls_key=pair.key,
        tls_client_authority=authority.certificate,
    ) as room:
        trust = authority.certificate
        assert speaks(room.target, Tls(trust, known.certificate, known.key))
        assert not speaks(room.target, Tls(trust))
        assert not speaks(room.target, Tls(trust, unknown.certificate, unknown.key))


def test_health_stays_plaintext_beside_tls(pair: Pair) -> None:
    with served(Echo(), tls_certificate=pair.certificate, tls_key=pair.key) as room:
        with grpc.insecure_channel(room.health_target) as channel:
            answer = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=20)
        assert answer.status == health_pb2.HealthCheckResponse.SERVING


@pytest.mark.parametrize("with_tls", [False, True])
def test_a_silent_connection_is_closed_after_the_handshake_timeout(pair: Pair, with_tls: bool) -> None:
    tls = {"tls_certificate": pair.certificate, "tls_key": pair.key} if with_tls else {}
    with served(Echo(), handshake_seconds=0.5, **tls) as room:
        host, port = room.target.split(":")
        with socket.create_connection((host, int(port)), timeout=30) as silent:
            while silent.recv(4096):  # the server's own settings frame may come before the end
                pass


def test_an_address_beyond_loopback_is_served_with_tls(pair: Pair, authority: Authority) -> None:
    with served(Echo(), address="0.0.0.0:0", tls_certificate=pair.certificate, tls_key=pair.key) as room:
        assert speaks(f"127.0.0.1:{room.server.port}", Tls(authority=authority.certificate))


@pytest.mark.parametrize(
    ("certificate", "key", "sentence"),
    [
        ("absent.pem", "server.key", "tls_certificate cannot be read: No such file or directory."),
        ("server.pem", "absent.key", "tls_key cannot be read: No such file or directory."),
        ("server.pem", "noise", "tls_key must be a PEM file: it holds no -----BEGIN line."),
        ("server.pem", "authority.key", "tls_certificate and tls_key are no pair that can be used"),
        ("broken.pem", "server.key", "tls_certificate and tls_key are no pair that can be used"),
    ],
)
def test_tls_files_that_cannot_be_used_stop_the_start(
    folder: Path, pair: Pair, certificate: str, key: str, sentence: str
) -> None:
    (folder / "noise").write_bytes(b"\x00\x01\x02")
    (folder / "broken.pem").write_bytes(b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    with (
        pytest.raises(SettingsError) as raised,
        served(Echo(), tls_certificate=folder / certificate, tls_key=folder / key),
    ):
        pass
    assert str(raised.value).startswith(sentence)
    assert str(folder) not in str(raised.value)


def test_an_authority_that_cannot_be_used_stops_the_start(folder: Path, pair: Pair) -> None:
    with (
        pytest.raises(SettingsError, match="tls_client_authority cannot be read"),
        served(
            Echo(),
            tls_certificate=pair.certificate,
            tls_key=pair.key,
            tls_client_authority=folder / "absent.pem",
        ),
    ):
        pass


def test_a_process_names_the_variable_of_a_file_it_cannot_use(tmp_path: Path, pair: Pair) -> None:
    room = RoomProcess(
        "echo",
        tmp_path,
        module="tests.host.echo_room",
        tls_certificate=pair.certificate,
        tls_key=tmp_path / "absent.key",
    )
    assert room.wait() == 1
    assert "MARKETML_ECHO_TLS_KEY cannot be read: No such file or directory." in room.log()
    assert "Traceback" not in room.log()


def test_a_client_certificate_without_its_key_is_refused(pair: Pair) -> None:
    with pytest.raises(ValueError, match="certificate and key are given together"):
        Tls(certificate=pair.certificate).credentials()
