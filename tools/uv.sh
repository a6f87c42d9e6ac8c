#!/bin/sh
# Puts uv, the installer, into .tools/uv from nothing but a Python of at least 3.11, and prints that Python's path.
# Idempotent: the second call only looks. PYTHON=… chooses the interpreter.
set -eu
cd "$(dirname "$0")/.."

good() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; }

# An environment that exists keeps its interpreter, whatever else has been installed on the machine since.
python=""
for candidate in "${PYTHON:-}" .venv/bin/python python3.13 python3.12 python3.11 python3 python; do
    if [ -n "$candidate" ] && good "$candidate"; then
        python=$("$candidate" -c 'import os, sys; print(os.path.realpath(sys.executable))')
        break
    elif [ -n "$candidate" ] && [ "$candidate" = "${PYTHON:-}" ]; then
        echo "PYTHON=$candidate is no Python of at least 3.11." >&2
        exit 1
    fi
done
if [ -z "$python" ]; then
    echo "No Python of at least 3.11 was found: install one, or name it with make PYTHON=/path/to/python3." >&2
    exit 1
fi

version=$(sed -n 's/^uv==\([0-9.]*\).*/\1/p' tools/uv.txt)
folder=.tools/uv
has() { case "$("$folder/bin/uv" --version 2>/dev/null)" in "uv $version"*) true ;; *) false ;; esac; }

if ! has; then
    echo "Installing uv $version into $folder" >&2
    rm -rf "$folder"
    mkdir -p .tools
    # Some distributions ship Python without venv (ensurepip), some without pip: one of the two is enough.
    if "$python" -m venv "$folder" >/dev/null 2>&1; then
        "$folder/bin/python" -m pip install --quiet --disable-pip-version-check \
            --require-hashes --only-binary :all: -r tools/uv.txt >&2
    elif rm -rf "$folder" && "$python" -m pip --version >/dev/null 2>&1; then
        "$python" -m pip install --quiet --disable-pip-version-check \
            --require-hashes --only-binary :all: --target "$folder" -r tools/uv.txt >&2
    else
        echo "$python has neither venv nor pip: install one of them (Debian, Ubuntu: apt-get install python3-venv)." >&2
        exit 1
    fi
    has || { echo "uv $version was installed into $folder but does not start." >&2; exit 1; }
fi
echo "$python"
