#!/bin/sh
# Starts one room in place of this shell, so that it gets the container's signals; `marketml …` runs the command.
# `dask-scheduler` and `dask-worker tcp://HOST:8786` are the cluster on which rooms compute; a worker does one thing
# at a time, on one thread.
set -eu
case "${1:-}" in
    data | features | training | registry) exec python -m "services.$1" ;;
    marketml) exec "$@" ;;
    dask-scheduler)
        shift
        exec python -m distributed.cli.dask_scheduler --port 8786 --no-dashboard "$@"
        ;;
    dask-worker)
        shift
        export OMP_NUM_THREADS=1
        exec python -m distributed.cli.dask_worker --nthreads 1 --no-dashboard --local-directory /tmp/dask "$@"
        ;;
    *)
        echo "usage: data | features | training | registry | marketml COMMAND | dask-scheduler | dask-worker ADDRESS" >&2
        exit 2
        ;;
esac
