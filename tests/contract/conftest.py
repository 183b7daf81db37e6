from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.local_cloud.deploy import Deployment
from tests.local_cloud.server import LocalCloud
from tests.stores.running import Servers


@pytest.fixture(scope="module")
def cloud() -> Iterator[LocalCloud]:
    """A local cloud for one module's tests; moto allows one at a time in a process."""
    with LocalCloud(export_delay_s=0.2) as running:
        yield running


@pytest.fixture(scope="module")
def deployment(cloud: LocalCloud) -> Deployment:
    """The stack of template.yaml, deployed on that cloud."""
    return cloud.deploy(stack="rdbkeeper", parameters={"ExportPollSeconds": "1"})


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    """The S3 servers of this machine, each started when it is first asked for and ended with the tests."""
    with ExitStack() as started:
        yield Servers(started, tmp_path_factory)
