"""A stand-in for TencentDB for Redis, API version 2018-04-12, in front of real Redis servers."""

from tests.local_cloud.tencentdb.records import CHINA
from tests.local_cloud.tencentdb.service import TencentDB

__all__ = ["CHINA", "TencentDB"]
