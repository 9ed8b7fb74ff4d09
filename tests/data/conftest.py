"""Fixtures: prepared datasets, no internet connection, little memory."""

import pytest

from deepkit.data import download, memory
from tests.data.tiny import TinyPhotos, TinyShapes


@pytest.fixture(scope="session")
def prepared(tmp_path_factory):
    """A data folder with the tiny datasets."""
    root = tmp_path_factory.mktemp("prepared")
    for builder in (TinyShapes, TinyPhotos):
        builder(data_dir=root).download_and_prepare()
    return root


@pytest.fixture
def offline(monkeypatch):
    """No internet connection: the probe fails without sending a request."""
    monkeypatch.setattr(download, "is_reachable", lambda urls: False)


@pytest.fixture
def little_memory(monkeypatch):
    """Too little memory for any dataset."""
    monkeypatch.setattr(memory, "available_bytes", lambda: 1000)
