"""Blocks in memory. They never change, so that an entry is never wrong."""

from __future__ import annotations

import threading
from collections import OrderedDict

from services.data.blocks import Block


class BlockCache:
    """The blocks used last, up to a number of bytes."""

    def __init__(self, bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self._bytes = 0
        self._blocks: OrderedDict[int, Block] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, block_id: int) -> Block | None:
        with self._lock:
            block = self._blocks.get(block_id)
            if block is not None:
                self._blocks.move_to_end(block_id)
            return block

    def put(self, block_id: int, block: Block) -> None:
        with self._lock:
            if block_id in self._blocks:
                return
            self._blocks[block_id] = block
            self._bytes += _size(block)
            while self._bytes > self._bytes_max:
                _, oldest = self._blocks.popitem(last=False)
                self._bytes -= _size(oldest)


def _size(block: Block) -> int:
    return len(block.batch) + len(block.captured or b"") + len(block.history or b"")
