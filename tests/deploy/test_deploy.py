"""What is deployed, held against its readers: manifests against the schemas of Kubernetes, the compose file
against the specification's own reader, every setting against the room that will read it."""

from __future__ import annotations

import importlib
import json
import shutil
import subprocess
from pathlib import Path

import kubernetes_validate
import pytest
import yaml

from services.host import ServerSettings, read_settings, with_cluster
from tests.support.programs import need_program

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
ROOMS = ("data", "features", "training", "registry")
SCHEDULER = "MARKETML_DASK_SCHEDULER"


@pytest.fixture(scope="module")
def manifests() -> list[dict]:
    return built("base")


def built(folder: str) -> list[dict]:
    """The manifests of a folder, put together."""
    if kubectl := shutil.which("kubectl"):
        command = [kubectl, "kustomize"]
    else:
        command = [need_program("kustomize"), "build"]
    run = subprocess.run(
        [*command, str(DEPLOY / "k8s" / folder)], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    return list(yaml.safe_load_all(run.stdout))


@pytest.fixture(scope="module")
def compose() -> dict:
    return composed("compose.yaml")


def composed(*names: str) -> dict:
    """What compose makes of its files."""
    run = subprocess.run(
        [need_program("compose-go"), "-format", "json", *(str(DEPLOY / name) for name in names)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


def pods_of(manifests: list[dict]) -> dict[str, dict]:
    return {
        each["metadata"]["name"]: each["spec"]["template"]["spec"]
        for each in manifests
        if each["kind"] in ("Deployment", "StatefulSet")
    }


def settings_of(room: str, environment: dict[str, str]) -> ServerSettings:
    module = importlib.import_module(f"services.{room}.settings")
    return read_settings(getattr(module, f"{room.title()}Settings"), room, environment)


def test_every_manifest_obeys_the_schema_of_kubernetes(manifests):
    version = kubernetes_validate.latest_version()
    for each in manifests:
        kubernetes_validate.validate(each, version, strict=True)
    assert len(manifests) > len(ROOMS)


def test_every_room_has_a_pod_that_is_probed_where_it_answers_health(manifests):
    pods = pods_of(manifests)
    assert set(pods) == set(ROOMS)
    for room, pod in pods.items():
        container = pod["containers"][0]
        environment = {entry["name"]: entry.get("value", "sqlite:///x") for entry in container["env"]}
        settings = settings_of(room, environment)
        port = int(settings.health_target().rpartition(":")[2])
        assert container["readinessProbe"]["grpc"]["port"] == port
        assert container["startupProbe"]["grpc"]["port"] == port
        ports = {entry["name"]: entry["containerPort"] for entry in container["ports"]}
        assert ports["health"] == port
        assert ports["metrics"] == int(settings.metrics_target().rpartition(":")[2])
        assert ports["grpc"] == int(settings.address.rpartition(":")[2])


def test_every_pod_runs_without_root_and_writes_to_volumes_only(manifests):
    for pod in pods_of(manifests).values():
        assert pod["securityContext"]["runAsNonRoot"] is True
        guard = pod["containers"][0]["securityContext"]
        assert guard["readOnlyRootFilesystem"] is True
        assert guard["allowPrivilegeEscalation"] is False
        assert guard["capabilities"] == {"drop": ["ALL"]}


def test_a_pod_is_given_longer_to_stop_than_its_room_takes_to_drain(manifests):
    for room, pod in pods_of(manifests).items():
        assert pod["terminationGracePeriodSeconds"] > settings_of(room, {}).grace_seconds


def test_a_service_selects_the_pods_of_its_room_alone(manifests):
    templates = {
        each["metadata"]["name"]: each["spec"]["template"]["metadata"]["labels"]
        for each in manifests
        if each["kind"] in ("Deployment", "StatefulSet")
    }
    for service in (each for each in manifests if each["kind"] == "Service"):
        wanted = service["spec"]["selector"].items()
        selected = [name for name, labels in templates.items() if wanted <= labels.items()]
        assert selected == [service["metadata"]["name"]]


def test_no_service_link_can_become_a_setting(manifests):
    assert all(pod["enableServiceLinks"] is False for pod in pods_of(manifests).values())


def test_compose_starts_four_rooms_and_postgresql(compose):
    assert set(compose["services"]) == {*ROOMS, "postgres"}
    for room in ROOMS:
        service = compose["services"][room]
        settings = settings_of(room, service["environment"])
        port = int(settings.address.rpartition(":")[2])
        assert [(each["host_ip"], each["target"]) for each in service["ports"]] == [("127.0.0.1", port)]
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        metrics = settings.metrics_target().rpartition(":")[2]
        assert f"127.0.0.1:{metrics}/readyz" in service["healthcheck"]["test"][-1]


def test_compose_keeps_every_room_with_a_database_on_postgresql_without_a_password_in_sight(compose):
    databases = (DEPLOY / "postgres/databases.sql").read_text()
    for room in ("data", "training", "registry"):
        service = compose["services"][room]
        url = settings_of(room, service["environment"]).database_url  # type: ignore[attr-defined]
        assert url == f"postgresql://marketml@postgres/{room}?passfile=/run/secrets/pgpass"
        assert f"CREATE DATABASE {room};" in databases
        assert service["depends_on"]["postgres"]["condition"] == "service_healthy"


def test_a_cluster_beside_the_rooms_obeys_kubernetes_and_is_told_to_those_who_compute_there():
    manifests = built("dask")
    for each in manifests:
        kubernetes_validate.validate(each, kubernetes_validate.latest_version(), strict=True)
    pods = pods_of(manifests)
    assert set(pods) == {*ROOMS, "dask-scheduler", "dask-worker"}
    [service] = [
        each for each in manifests if each["metadata"]["name"] == "dask-scheduler" and "ports" in each["spec"]
    ]
    address = f"tcp://dask-scheduler:{service['spec']['ports'][0]['port']}"
    assert pods["dask-worker"]["containers"][0]["args"] == ["dask-worker", address]
    told = {
        name: [entry["value"] for entry in pod["containers"][0].get("env", ()) if entry["name"] == SCHEDULER]
        for name, pod in pods.items()
    }
    assert {name for name, values in told.items() if values == [address]} == {"features", "training"}
    for name in ("dask-scheduler", "dask-worker"):
        assert pods[name]["securityContext"]["runAsNonRoot"] is True
        assert pods[name]["containers"][0]["securityContext"]["readOnlyRootFilesystem"] is True


def test_compose_starts_a_cluster_that_nobody_outside_reaches():
    services = composed("compose.yaml", "compose.dask.yaml")["services"]
    assert set(services) == {*ROOMS, "postgres", "dask-scheduler", "dask-worker"}
    for name in ("dask-scheduler", "dask-worker"):
        assert "ports" not in services[name]
        assert services[name]["read_only"] is True
        assert services[name]["cap_drop"] == ["ALL"]
    [_, address] = services["dask-worker"]["command"]
    # Of files that are merged the reader writes variables as a list.
    told = {room for room in ROOMS if f"{SCHEDULER}={address}" in services[room]["environment"]}
    assert told == {"features", "training"}
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv(SCHEDULER, address)
        for room in told:
            settings = with_cluster(settings_of(room, {}))  # type: ignore[type-var]
            assert settings.dask_scheduler == address


def test_the_image_is_given_every_package_that_the_rooms_import():
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    recipe = (DEPLOY / "Dockerfile").read_text()
    project = (ROOT / "pyproject.toml").read_text()
    for package in ("marketml", "services", "inference"):
        assert f'"{package}"' in project
        assert f"!{package}" in ignored
        assert f"COPY {package} {package}" in recipe
    assert "\nUSER 10001:10001\n" in recipe


@pytest.mark.parametrize("word", ["", "nothing"])
def test_the_entry_point_refuses_what_is_no_room(word):
    run = subprocess.run(["sh", DEPLOY / "entrypoint.sh", word], capture_output=True, text=True, check=False)
    assert run.returncode == 2
    assert "usage" in run.stderr
