"""A client as a process that starts one job: `python -m tests.training.starting_client TARGET CALL_ID`.

It reads the request, says that it is ready, calls once it is told to, tells the job that it was answered, and
waits for its end. `CALL_ID` is in the logs of all rooms that hear of the call.
"""

from __future__ import annotations

import sys

from marketml.clients.training import TrainingClient
from marketml.rpc import correlation
from marketml.training.v1 import training_pb2 as pb


def main(target: str, call_id: str) -> None:
    request = pb.StartTrainingRequest.FromString(bytes.fromhex(sys.stdin.readline()))
    correlation.enter(correlation.Correlation(call_id))
    with TrainingClient(target) as client:
        print("ready", flush=True)
        sys.stdin.readline()
        print(
            client.start_training(request.model_name, request.config, request.request_id).job_id, flush=True
        )
        sys.stdin.read()


if __name__ == "__main__":
    main(*sys.argv[1:])
