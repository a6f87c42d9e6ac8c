"""The rooms as operators have them: what stops a start is one sentence, and no end leaves anything."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.house.tree import ROOMS
from tests.support.servers import START_SECONDS_MAX, RoomProcess, four_rooms

WITH_DATABASE = ("data", "training", "registry")


def last_words(room: RoomProcess) -> str:
    """What a room that could not start said: one line of its log."""
    assert room.wait(START_SECONDS_MAX) == 1
    (line,) = room.log().splitlines()
    said = json.loads(line)
    assert (said["level"], said["room"]) == ("ERROR", room.name)
    return str(said["message"])


@pytest.mark.parametrize(
    ("setting", "value", "sentence"),
    [
        ("adress", "127.0.0.1:0", "ADRESS is not a setting of the {room} room."),
        ("address", "0.0.0.0:0", "ADDRESS must stay on loopback without TLS"),
        ("database_url", "mysql://x:s3cret@y/z", "DATABASE_URL must start with sqlite: or postgresql:"),
    ],
)
def test_a_setting_that_cannot_be_used_is_named(
    tmp_path: Path, setting: str, value: str, sentence: str
) -> None:
    names = WITH_DATABASE if setting == "database_url" else ROOMS
    started = []
    for name in names:
        (tmp_path / name).mkdir()
        started.append(RoomProcess(name, tmp_path / name, **{setting: value}))
    for room in started:
        said = last_words(room)
        assert f"MARKETML_{room.name.upper()}_{sentence.format(room=room.name)}" in said
        assert "s3cret" not in said


def test_rooms_guard_their_files_and_neither_death_nor_signal_leaves_anything(tmp_path: Path) -> None:
    with four_rooms(tmp_path) as rooms:
        holders = [room for room in rooms.all() if room.name in WITH_DATABASE]
        for first, second in [(room, second_on_files_of(room)) for room in holders]:
            assert f"is in use by process {first.pid};" in last_words(second)
        for room in rooms.all():
            room.kill()
            room.assert_nothing_left()
    with four_rooms(tmp_path) as rooms:
        for room in rooms.all():
            room.terminate()
        assert {room.name: room.wait() for room in rooms.all()} == dict.fromkeys(ROOMS, 0)
    for room in rooms.all():
        assert "Traceback" not in room.log()


def second_on_files_of(first: RoomProcess) -> RoomProcess:
    """Another process of a room on the same database."""
    folder = first.folder / "second"
    folder.mkdir()
    url = f"sqlite:///{first.folder}/.run/{first.name}/{first.name}.sqlite"
    return RoomProcess(first.name, folder, database_url=url)
