"""Compiles the contracts: `python tools/protos.py [FOLDER]` writes the generated code below FOLDER, or here.

`protos/marketml/data/v1/data.proto` becomes `marketml/data/v1/data_pb2.py`, `.pyi` and `_pb2_grpc.py`: the
package is the path is the import, so nothing is rewritten.
"""

from __future__ import annotations

import sys
from importlib.resources import files
from pathlib import Path

from grpc_tools import protoc

ROOT = Path(__file__).resolve().parent.parent
PROTOS = ROOT / "protos"


def compile_contracts(folder: Path) -> int:
    """Compile every contract below `protos/` into `folder`.

    Parameters
    ----------
    folder : Path
        Created if absent. Packages that lack an `__init__.py` get an empty one.

    Returns
    -------
    int
        The number of contracts compiled.

    Raises
    ------
    SystemExit
        With the compiler's status when it refuses; its messages are on stderr.
    """
    sources = sorted(str(path.relative_to(PROTOS)) for path in PROTOS.rglob("*.proto"))
    folder.mkdir(parents=True, exist_ok=True)
    arguments = ["protoc", f"-I{PROTOS}", f"-I{files('grpc_tools') / '_proto'}"]
    arguments += [f"--{kind}_out={folder}" for kind in ("python", "pyi", "grpc_python")]
    status = protoc.main([*arguments, *sources])
    if status:
        raise SystemExit(status)
    for source in sources:
        package = folder / Path(source).parent
        while package != folder:
            (package / "__init__.py").touch()
            package = package.parent
    return len(sources)


if __name__ == "__main__":
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT
    print(f"{compile_contracts(target)} contracts compiled into {target}")
