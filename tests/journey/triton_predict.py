"""A stock Triton client, in a process of its own: its stubs and ours cannot share one.

`python triton_predict.py TARGET MODEL` reads rows of features as JSON from stdin, writes the answer as JSON.
"""

import json
import sys

import numpy as np
import tritonclient.grpc as triton


def main() -> None:
    target, name = sys.argv[1:]
    rows = np.array(json.load(sys.stdin), dtype=np.float64)
    client = triton.InferenceServerClient(target)
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready(name)
    metadata = client.get_model_metadata(name)
    given = triton.InferInput(metadata.inputs[0].name, list(rows.shape), metadata.inputs[0].datatype)
    given.set_data_from_numpy(rows)
    answer = client.infer(name, [given])
    json.dump(
        {
            "inputs": [one.name for one in metadata.inputs],
            "version": answer.get_response().model_version,
            "probabilities": answer.as_numpy("probabilities").tolist(),
            "predicted_class": [word.decode() for word in answer.as_numpy("predicted_class")],
        },
        sys.stdout,
    )


if __name__ == "__main__":
    main()
