"""One built model per case, shared by the checks that do not change a model."""

import functools

import pytest

from tests.conformance.cases import build


@pytest.fixture(scope="session")
def built():
    """Return a function from a case to its model, which is built at the first call."""
    return functools.cache(build)
