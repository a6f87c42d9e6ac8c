#!/bin/sh
# Makes the password of compose's PostgreSQL, once, as the two files that compose.yaml names. Run it as root: libpq
# ignores a password file that anyone but the room's user (10001) can read.
set -eu
cd "$(dirname "$0")"
if [ -e .secrets/password ]; then
    echo "deploy/.secrets is there already" >&2
    exit 0
fi
umask 077
mkdir -p .secrets
head -c 24 /dev/urandom | od -An -tx1 | tr -d ' \n' >.secrets/password
printf 'postgres:5432:*:marketml:%s\n' "$(cat .secrets/password)" >.secrets/pgpass
chown 10001:10001 .secrets/pgpass
chmod 0400 .secrets/pgpass
echo "made deploy/.secrets"
