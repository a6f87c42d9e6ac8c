"""What a stranger does: the stock Triton client asks a registry, and prints what it heard as JSON.

python triton_client.py TARGET ROWS_AS_JSON FEATURE,FEATURE,…
"""

import json
import sys

import numpy as np
import tritonclient.grpc as triton
from tritonclient.utils import InferenceServerException

target, rows = sys.argv[1], np.array(json.loads(sys.argv[2]))
said = {}
with triton.InferenceServerClient(target) as client:
    said["live"], said["ready"] = client.is_server_live(), client.is_server_ready()
    asked = (("btc",), ("btc", "1"), ("eth",))
    said["model_ready"] = [client.is_model_ready(*model) for model in asked]
    said["server"] = client.get_server_metadata(as_json=True)
    said["metadata"] = client.get_model_metadata("btc", as_json=True)
    for datatype, dtype in (("FP64", np.float64), ("FP32", np.float32)):
        tensor = triton.InferInput("features", rows.shape, datatype)
        tensor.set_data_from_numpy(rows.astype(dtype))
        answer = client.infer("btc", [tensor], request_id="7")
        said[datatype] = {
            "probabilities": answer.as_numpy("probabilities").tolist(),
            "predicted_class": [name.decode() for name in answer.as_numpy("predicted_class")],
            "version": answer.get_response().model_version,
            "id": answer.get_response().id,
        }
    only = client.infer("btc", [tensor], outputs=[triton.InferRequestedOutput("predicted_class")])
    said["only"] = [output.name for output in only.get_response().outputs]
    names = sys.argv[3].split(",")
    columns = []
    for position, name in enumerate(names):
        column = triton.InferInput(name, [len(rows)], "FP64")
        column.set_data_from_numpy(np.ascontiguousarray(rows[:, position]))
        columns.append(column)
    said["by_name"] = client.infer("btc", columns[::-1], model_version="1").as_numpy("probabilities").tolist()
    bad = triton.InferInput("features", [len(rows), 1], "FP64")
    bad.set_data_from_numpy(np.ascontiguousarray(rows[:, :1]))
    for model, inputs in (("btc", [bad]), ("eth", [tensor])):
        try:
            client.infer(model, inputs)
        except InferenceServerException as error:
            said.setdefault("errors", []).append([error.status(), error.message()])
print(json.dumps(said))
