"""A stand-in for Amazon ElastiCache (node-based) whose instances are real Redis servers."""

from tests.local_cloud.elasticache.guard import ElastiCacheGuard

__all__ = ["ElastiCacheGuard"]
