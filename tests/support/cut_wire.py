"""A wire to a PostgreSQL server that can be cut: a socket in a folder of its own, before the server's.

with CutWire(server.folder) as wire:          # url: …?host={wire.folder}
    wire.cut_at(b"INSERT INTO series", b"COMMIT")
"""

from __future__ import annotations

import shutil
import socket
import tempfile
import threading
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

_SOCKET = ".s.PGSQL.5432"


class _Link:
    """A connection through the wire, and what it still has to see before it is cut."""

    def __init__(self, client: socket.socket, server: socket.socket) -> None:
        self.client, self.server = client, server
        self.words: list[bytes] = []
        self.answer_bytes: int | None = None  # left of the answer after the last of the words

    def close(self) -> None:
        """The client sees a broken connection; the server too, when it has done what it was told."""
        with suppress(OSError):
            self.server.shutdown(socket.SHUT_WR)
        with suppress(OSError):
            self.client.shutdown(socket.SHUT_RDWR)


class CutWire:
    """Every connection through it is passed on until the wire is cut: all of them break at once."""

    def __init__(self, server_folder: Path) -> None:
        self._server = str(server_folder / _SOCKET)
        self.folder = Path(tempfile.mkdtemp(prefix="marketml-wire-", dir="/tmp"))
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self.folder / _SOCKET))
        self._listener.listen()
        self._lock = threading.Lock()
        self._links: list[_Link] = []
        self._words: list[bytes] = []
        self._answer_bytes = 0
        self.cuts_count = 0
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def cut_at(self, *words: bytes, answer_bytes: int = 0) -> None:
        """Cut once: when one connection has sent these words, in this order, and so much was answered."""
        with self._lock:
            self._words, self._answer_bytes = list(words), answer_bytes
            for link in self._links:
                link.words = list(words)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.socket(socket.AF_UNIX)
            server.connect(self._server)
            link = _Link(client, server)
            with self._lock:
                link.words = list(self._words)
                self._links.append(link)
            for function in (self._pass_on, self._pass_back):
                self._threads.append(threading.Thread(target=function, args=(link,)))
                self._threads[-1].start()

    def _pass_on(self, link: _Link) -> None:
        with suppress(OSError):
            while data := link.client.recv(65_536):
                with self._lock:
                    while link.words and link.words[0] in data:
                        del link.words[0]
                        if not link.words:
                            link.answer_bytes = self._answer_bytes
                link.server.sendall(data)
                if link.answer_bytes == 0:
                    self._cut()
        link.close()

    def _pass_back(self, link: _Link) -> None:
        with suppress(OSError):
            while data := link.server.recv(65_536):
                if link.answer_bytes is not None:
                    data = data[: link.answer_bytes]
                    link.answer_bytes -= len(data)
                link.client.sendall(data)
                if link.answer_bytes == 0:
                    self._cut()
        link.close()
        link.server.close()
        link.client.close()

    def _cut(self) -> None:
        with self._lock:
            links, self._links, self._words = self._links, [], []
            self.cuts_count += bool(links)
        for link in links:
            link.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._threads[0].join(10)
        self._listener.close()
        self._cut()
        for thread in self._threads:
            thread.join(10)
        shutil.rmtree(self.folder)
