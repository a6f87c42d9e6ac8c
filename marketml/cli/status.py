"""`marketml status`: every room asked how it is."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import click

from marketml.cli.command import FAILED, Context, command
from marketml.cli.output import cell, seconds_text
from marketml.cli.rooms import ROOMS
from marketml.clients.data import DataClient
from marketml.clients.features import FeaturesClient
from marketml.clients.registry import RegistryClient
from marketml.clients.training import TrainingClient
from marketml.rpc.refusals import Refusal
from marketml.training.v1 import training_pb2


@click.command()
@command(*ROOMS)
def status(context: Context) -> None:
    """Ask every room how it is; exit status 1 when one does not answer."""
    ask: dict[str, Callable[[str], dict[str, Any]]] = {
        "data": lambda target: _data(context, target),
        "features": lambda target: _features(context, target),
        "training": lambda target: _training(context, target),
        "registry": lambda target: _registry(context, target),
    }
    answers: dict[str, dict[str, Any]] = {}
    for room in ROOMS:
        target, began = context.endpoint(room), time.monotonic()
        try:
            found = ask[room](target)
        except Refusal as refusal:
            answers[room] = {"answers": False, "endpoint": target, "says": refusal.message}
        else:
            answers[room] = {
                "answers": True,
                "endpoint": target,
                "seconds": time.monotonic() - began,
                **found,
            }
    if context.output.is_json:
        context.output.document(answers)
    else:
        for room, answer in answers.items():
            _show(context, room, answer)
    if not all(answer["answers"] for answer in answers.values()):
        raise SystemExit(FAILED)


def _show(context: Context, room: str, answer: dict[str, Any]) -> None:
    if not answer["answers"]:
        context.output.show(f"{room:<9} {answer['endpoint']}  does not answer: {answer['says']}")
        return
    facts = ", ".join(
        f"{name.replace('_', ' ')} {cell(value)}"
        for name, value in answer.items()
        if name not in ("answers", "endpoint", "seconds")
    )
    context.output.show(f"{room:<9} {answer['endpoint']}  {seconds_text(answer['seconds'])}  {facts}")


def _data(context: Context, target: str) -> dict[str, Any]:
    with DataClient(target, tls=context.tls) as client:
        series = client.list_series()
    return {"series": len(series), "rows": sum(one.row_count for one in series)}


def _features(context: Context, target: str) -> dict[str, Any]:
    with FeaturesClient(target, tls=context.tls) as client:
        default = client.validate_feature_config(client.get_default_feature_config())
    return {"features_by_default": default.feature_count}


def _training(context: Context, target: str) -> dict[str, Any]:
    active = {training_pb2.JOB_STATE_QUEUED, training_pb2.JOB_STATE_RUNNING, training_pb2.JOB_STATE_STOPPING}
    with TrainingClient(target, tls=context.tls) as client:
        jobs = client.list_trainings(limit=1000)
    return {"jobs": len(jobs), "jobs_under_way": sum(job.state in active for job in jobs)}


def _registry(context: Context, target: str) -> dict[str, Any]:
    with RegistryClient(target, tls=context.tls) as client:
        found = client.get_status()
    return {
        "versions": found.version_count,
        "models_in_memory": len(found.loaded_models),
        "stored_bytes": found.stored_bytes,
        "rows_answered": sum(model.row_count for model in found.loaded_models),
    }
