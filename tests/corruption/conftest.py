from __future__ import annotations

import pytest

from tests.corruption.real_files import RealFiles, make_real_files


@pytest.fixture(scope="session")
def real_files(tmp_path_factory: pytest.TempPathFactory) -> RealFiles:
    """Files that real servers wrote, made once for all tests of this folder."""
    return make_real_files(tmp_path_factory.mktemp("real-files"))
