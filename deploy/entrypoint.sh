#!/bin/sh
# Starts one room in place of this shell, so that it gets the container's signals; `marketml …` runs the command.
set -eu
case "${1:-}" in
    data | features | training | registry) exec python -m "services.$1" ;;
    marketml) exec "$@" ;;
    *)
        echo "usage: data | features | training | registry | marketml COMMAND" >&2
        exit 2
        ;;
esac
