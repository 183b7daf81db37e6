"""How what is missing of a transfer is shared out among several sandboxes. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from rdbkeeper.domain.transfer import Piece, Transfer

Share = tuple[Piece, ...]


def share_out(transfer: Transfer, workers: int) -> list[Share]:
    """Cut what is missing into at most `workers` shares of about equal size, each of neighbouring parts.

    There are fewer where fewer parts are missing; every missing part is in exactly one share.
    """
    sizes = {file.name: file.part_size_bytes for file in transfer.files}
    pieces = list(transfer.missing())
    left = sum(_size_bytes(piece, sizes) for piece in pieces)
    shares: list[Share] = []
    while pieces:
        share, pieces = _take(pieces, sizes, left / (workers - len(shares)))
        left -= sum(_size_bytes(piece, sizes) for piece in share)
        shares.append(share)
    return shares


def _take(pieces: Sequence[Piece], sizes: dict[str, int], wanted_bytes: float) -> tuple[Share, list[Piece]]:
    """The first pieces that make up at least `wanted_bytes`, the last one cut between two parts; and what is left."""
    share: list[Piece] = []
    rest = list(pieces)
    while rest and wanted_bytes > 0:
        piece = rest.pop(0)
        parts = max(1, -int(-wanted_bytes // sizes[piece.file]))
        cut = min(piece.last_part, piece.first_part + parts - 1)
        share.append(Piece(piece.file, piece.first_part, cut))
        wanted_bytes -= (cut - piece.first_part + 1) * sizes[piece.file]
        if cut < piece.last_part:
            rest.insert(0, Piece(piece.file, cut + 1, piece.last_part))
    return tuple(share), rest


def _size_bytes(piece: Piece, sizes: dict[str, int]) -> int:
    """What a piece weighs, its last part counted whole."""
    return (piece.last_part - piece.first_part + 1) * sizes[piece.file]
