#!/bin/sh
# The programs that tests use and Python cannot bring: PostgreSQL, grpcurl, kustomize, compose-go. Idempotent, and quick when they
# are there. A missing one is announced, and its tests skip; with CI=true it is a failure.
set -u
cd "$(dirname "$0")/.."
missing=""

lacks() {
    echo "MISSING: $1: $2" >&2
    missing="$missing $1"
}

find_postgresql() {
    command -v initdb >/dev/null 2>&1 && command -v postgres >/dev/null 2>&1 && return
    for server in /usr/lib/postgresql/*/bin/postgres; do
        [ -x "$server" ] && return
    done
    return 1
}

# go_tool NAME PACKAGE [BUILT]: on the PATH, in Go's own folder or in .tools/bin, else built into .tools/bin (where Go
# calls it BUILT).
go_tool() {
    command -v "$1" >/dev/null 2>&1 && return
    [ -x ".tools/bin/$1" ] || [ -x "${HOME:-/nonexistent}/go/bin/$1" ] && return
    if ! command -v go >/dev/null 2>&1; then
        lacks "$1" "Go would build it, and there is no Go either; the tests that use it skip."
        return
    fi
    echo "Building $1 into .tools/bin" >&2
    GOBIN="$PWD/.tools/bin" GOFLAGS=-mod=mod go install "$2" >&2 || lacks "$1" "go install $2 failed."
    [ "${3:-$1}" = "$1" ] || mv ".tools/bin/$3" ".tools/bin/$1"
}

if ! find_postgresql; then
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
        echo "Installing PostgreSQL with apt-get" >&2
        { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends postgresql; } >&2
    fi
    find_postgresql || lacks postgresql "no initdb on the PATH or in /usr/lib/postgresql; tests on PostgreSQL skip."
fi
go_tool grpcurl github.com/fullstorydev/grpcurl/cmd/grpcurl@v1.9.4
command -v kubectl >/dev/null 2>&1 || go_tool kustomize sigs.k8s.io/kustomize/kustomize/v5@v5.8.0
# The reference reader of compose files; the docker client alone has none.
go_tool compose-go github.com/compose-spec/compose-go/v2/cmd@v2.16.2 cmd

if [ -n "$missing" ] && [ "${CI:-}" = true ]; then
    echo "CI needs all of them; missing:$missing" >&2
    exit 1
fi
