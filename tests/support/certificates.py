"""Certificates for tests of TLS, made with the `openssl` command, so that none in the repository expires."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.support.programs import need_program


@dataclass(frozen=True)
class Pair:
    """A certificate and its private key, as PEM files."""

    certificate: Path
    key: Path


class Authority:
    """A certificate authority in a folder, valid for a day."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder
        self._openssl = need_program("openssl")
        self._own = self._request(name, "-x509", "-days", "1", "-addext", "basicConstraints=critical,CA:TRUE")
        self.certificate = self._own.certificate

    def sign(self, name: str) -> Pair:
        """A certificate for 127.0.0.1 and localhost, good for servers and for clients."""
        return self._request(
            name,
            *("-x509", "-days", "1", "-CA", str(self._own.certificate), "-CAkey", str(self._own.key)),
            *("-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"),
            *("-addext", "basicConstraints=critical,CA:FALSE"),
        )

    def _request(self, name: str, *options: str) -> Pair:
        pair = Pair(self._folder / f"{name}.pem", self._folder / f"{name}.key")
        key = (
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
            "-keyout",
            str(pair.key),
        )
        subprocess.run(
            [self._openssl, "req", "-subj", f"/CN={name}", *key, *options, "-out", str(pair.certificate)],
            check=True,
            capture_output=True,
        )
        return pair
