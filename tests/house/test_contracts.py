"""The style of the contracts, read from their descriptors and comments."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import descriptor_pb2
from grpc_tools import protoc

from tests.house.tree import ROOMS, ROOT

PROTOS = ROOT / "protos"
ORDER = ("market", *ROOMS)
FIELD = descriptor_pb2.FieldDescriptorProto
# Verbs whose RPC changes something that a repeated request would change twice.
MUTATIONS = ("Start", "Create", "Update", "Upload", "Load", "Rollback", "Reset")


@pytest.fixture(scope="module")
def contracts(tmp_path_factory: pytest.TempPathFactory) -> list[descriptor_pb2.FileDescriptorProto]:
    """Our own contracts with their comments; the standard's are not ours to style."""
    target = tmp_path_factory.mktemp("contracts") / "set.bin"
    paths = sorted(str(path.relative_to(PROTOS)) for path in (PROTOS / "marketml").rglob("*.proto"))
    standard = files("grpc_tools") / "_proto"
    options = [f"-I{PROTOS}", f"-I{standard}", "--include_source_info", f"--descriptor_set_out={target}"]
    assert protoc.main(["protoc", *options, *paths]) == 0
    return list(descriptor_pb2.FileDescriptorSet.FromString(target.read_bytes()).file)


def room_of(file: Any) -> str:
    return file.package.split(".")[1]


def messages(owner: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every message of a file, nested ones too, but not the entries of maps."""
    for message in owner.message_type if hasattr(owner, "message_type") else owner.nested_type:
        if not message.options.map_entry:
            yield f"{prefix}{message.name}", message
            yield from messages(message, f"{prefix}{message.name}.")


def enums(file: Any) -> Iterator[Any]:
    yield from file.enum_type
    for _, message in messages(file):
        yield from message.enum_type


def methods(contracts: Any) -> Iterator[tuple[Any, Any]]:
    for file in contracts:
        for service in file.service:
            for method in service.method:
                yield file, method


def test_a_contract_stands_where_its_package_says(contracts: Any) -> None:
    for file in contracts:
        assert Path(file.name).parent.as_posix() == file.package.replace(".", "/")
        assert file.package == f"marketml.{room_of(file)}.v1"
        assert room_of(file) in ORDER
        assert file.syntax == "proto3"


def test_contracts_import_leftwards_only(contracts: Any) -> None:
    for file in contracts:
        for name in file.dependency:
            if name.startswith("marketml/"):
                assert ORDER.index(name.split("/")[1]) <= ORDER.index(room_of(file)), f"{file.name}: {name}"
            else:
                assert name.startswith("google/"), f"{file.name}: {name}"


def test_every_rpc_of_a_contract_has_its_own_request_and_response(contracts: Any) -> None:
    for file, method in methods(contracts):
        assert method.input_type == f".{file.package}.{method.name}Request"
        assert method.output_type == f".{file.package}.{method.name}Response"


def test_a_contract_has_one_service_named_after_its_room(contracts: Any) -> None:
    names = {"features": "FeatureService"}
    for file in contracts:
        expected = [] if room_of(file) == "market" else [f"{room_of(file).capitalize()}Service"]
        expected = [names[room_of(file)]] if room_of(file) in names else expected
        assert [service.name for service in file.service] == expected


def test_enums_of_a_contract_start_with_unspecified(contracts: Any) -> None:
    for file in contracts:
        for enum in enums(file):
            prefix = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", enum.name).upper()
            assert (enum.value[0].name, enum.value[0].number) == (f"{prefix}_UNSPECIFIED", 0)
            assert all(value.name.startswith(f"{prefix}_") for value in enum.value), enum.name


def test_everything_in_a_contract_has_a_comment(contracts: Any) -> None:
    missing = []
    for file in contracts:
        commented = {
            tuple(place.path)
            for place in file.source_code_info.location
            if place.leading_comments.strip() or place.trailing_comments.strip()
        }
        missing += [f"{file.name}: {name}" for path, name in described(file) if path not in commented]
    assert not missing, "\n".join(missing)


def described(file: Any) -> Iterator[tuple[tuple[int, ...], str]]:
    """The path in the source information, and the name, of everything that needs a comment."""
    for number, service in enumerate(file.service):
        yield (6, number), service.name
        for place, method in enumerate(service.method):
            yield (6, number, 2, place), f"{service.name}.{method.name}"
    for number, enum in enumerate(file.enum_type):
        yield from described_enum((5, number), enum)
    for number, message in enumerate(file.message_type):
        yield from described_message((4, number), message, "")


def described_enum(path: tuple[int, ...], enum: Any) -> Iterator[tuple[tuple[int, ...], str]]:
    yield path, enum.name
    for place, value in enumerate(enum.value):
        yield (*path, 2, place), value.name


def described_message(
    path: tuple[int, ...], message: Any, prefix: str
) -> Iterator[tuple[tuple[int, ...], str]]:
    name = f"{prefix}{message.name}"
    if not name.endswith(("Request", "Response")) and not message.options.map_entry:
        yield path, name
    if message.options.map_entry:
        return
    for place, field in enumerate(message.field):
        yield (*path, 2, place), f"{name}.{field.name}"
    for place, enum in enumerate(message.enum_type):
        yield from described_enum((*path, 4, place), enum)
    for place, nested in enumerate(message.nested_type):
        yield from described_message((*path, 3, place), nested, f"{name}.")


def test_instants_of_a_contract_are_timestamps_whose_name_ends_with_time(contracts: Any) -> None:
    for file in contracts:
        for name, message in messages(file):
            for field in message.field:
                is_instant = field.type_name == ".google.protobuf.Timestamp"
                assert not is_instant or field.name.endswith(("_time", "_times")) or field.name == "time", (
                    f"{file.name}: {name}.{field.name}"
                )


def test_lists_of_a_contract_are_paged(contracts: Any) -> None:
    for file, method in methods(contracts):
        if method.name.startswith("List") and not method.server_streaming:
            of = dict(messages(file))
            assert {"page_size", "page_token"} <= {field.name for field in of[f"{method.name}Request"].field}
            assert "next_page_token" in {field.name for field in of[f"{method.name}Response"].field}


def test_updates_of_a_contract_carry_mask_and_etag(contracts: Any) -> None:
    for file, method in methods(contracts):
        if method.name.startswith("Update"):
            fields = {field.name: field for field in dict(messages(file))[f"{method.name}Request"].field}
            assert fields["update_mask"].type_name == ".google.protobuf.FieldMask"
            assert "etag" in fields or any("etag" in nested_fields(file, field) for field in fields.values())


def nested_fields(file: Any, field: Any) -> set[str]:
    of = dict(messages(file))
    name = field.type_name.removeprefix(f".{file.package}.")
    return {inner.name for inner in of[name].field} if name in of else set()


def test_mutations_of_a_contract_carry_a_request_id(contracts: Any) -> None:
    missing = []
    for file, method in methods(contracts):
        if method.name.startswith(MUTATIONS):
            fields = {field.name: field for field in dict(messages(file))[f"{method.name}Request"].field}
            inner = set().union(*(nested_fields(file, field) for field in fields.values()))
            if "request_id" not in fields and "request_id" not in inner:
                missing.append(method.name)
    assert not missing


def test_contracts_hold_numbers_of_one_kind(contracts: Any) -> None:
    """Floats are doubles: what pandas holds comes back equal."""
    for file in contracts:
        for name, message in messages(file):
            for field in message.field:
                assert field.type != FIELD.TYPE_FLOAT, f"{file.name}: {name}.{field.name}"
                assert field.type not in (FIELD.TYPE_GROUP, FIELD.TYPE_SFIXED32, FIELD.TYPE_SFIXED64)
