from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from rdbkeeper.aws.journal import LIBRARIES


@pytest.fixture
def kept_library_loggers() -> Iterator[None]:
    """Libraries' loggers are the process's: what a test's journal does to them is taken back."""
    loggers = [logging.getLogger(name) for name in LIBRARIES]
    kept = [(logger.handlers, logger.propagate, logger.level) for logger in loggers]
    yield
    for logger, (handlers, propagate, level) in zip(loggers, kept, strict=True):
        logger.handlers, logger.propagate = handlers, propagate
        logger.setLevel(level)
