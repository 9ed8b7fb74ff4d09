"""Prepared data made once, and the decisions that tests steer."""

import pytest

from deepkit.data import download, memory
from tests.data.tiny import TinyPhotos, TinyShapes


@pytest.fixture(scope="session")
def prepared(tmp_path_factory):
    """A data folder that holds the tiny data sets."""
    root = tmp_path_factory.mktemp("prepared")
    for builder in (TinyShapes, TinyPhotos):
        builder(data_dir=root).download_and_prepare()
    return root


@pytest.fixture
def offline(monkeypatch):
    """No network: the probe says so without asking."""
    monkeypatch.setattr(download, "answering", lambda urls: False)


@pytest.fixture
def little_memory(monkeypatch):
    """Too little memory to hold anything."""
    monkeypatch.setattr(memory, "available", lambda: 1000)
