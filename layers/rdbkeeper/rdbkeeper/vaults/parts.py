"""A part of an upload as a body that botocore sends."""

from __future__ import annotations

_PIECE_BYTES = 1 << 20


class SeekableView:
    """A part as a body that botocore can send, and send again, without copying it.

    `read` hands out a megabyte where less is asked for: its only reader is http.client, which asks for 16 KiB at a
    time and sends whatever it gets.
    """

    def __init__(self, view: memoryview) -> None:
        self._view = view
        self._position = 0

    def __len__(self) -> int:
        return len(self._view)

    def read(self, size: int | None = -1) -> memoryview:
        end = len(self._view) if size is None or size < 0 else self._position + max(size, _PIECE_BYTES)
        piece = self._view[self._position : end]
        self._position += len(piece)
        return piece

    def seek(self, offset: int, whence: int = 0) -> int:
        self._position = offset + (0, self._position, len(self._view))[whence]
        return self._position

    def tell(self) -> int:
        return self._position
