"""One tiny FracAtlas, prepared once; who changes it takes a copy."""

import shutil
from pathlib import Path

import pytest

from fracjax.datasets.prepare import Summary, prepare
from fracjax.datasets.request import Request
from tests.datasets.trees import fracatlas_tree


@pytest.fixture(scope="session")
def source(tmp_path_factory) -> Path:
    return fracatlas_tree(tmp_path_factory.mktemp("source") / "tree")


@pytest.fixture(scope="session")
def summary(tmp_path_factory, source) -> Summary:
    data_dir = tmp_path_factory.mktemp("prepared")
    return prepare(Request("fracatlas", source=source, data_dir=data_dir))


@pytest.fixture
def copy(summary, tmp_path) -> Path:
    """The folder of a prepared dataset that a test may change; its data_dir is `tmp_path`."""
    return shutil.copytree(summary.directory, tmp_path / "fracatlas")
