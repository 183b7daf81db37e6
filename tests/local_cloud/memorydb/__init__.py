"""A stand-in for Amazon MemoryDB whose clusters are real Redis servers."""

from tests.local_cloud.memorydb.guard import MemoryDbGuard

__all__ = ["MemoryDbGuard"]
