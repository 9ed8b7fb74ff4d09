"""Fixtures of all tests: a quiet TensorFlow, and no state that passes from one test to the next."""

import importlib
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import pytest


@pytest.fixture(autouse=True)
def clean_keras():
    """Give every test the same names, seeds and precision."""
    import keras

    keras.utils.clear_session(free_memory=False)
    keras.utils.set_random_seed(0)
    policy = keras.config.dtype_policy()
    yield
    keras.config.set_dtype_policy(policy)


@pytest.fixture
def without_reports(monkeypatch):
    """Omit the report of a run, which takes longer than a small training and has its own tests."""
    monkeypatch.setattr("deepkit.training.run_report.write", lambda *parts: None)


@pytest.fixture
def tfds_dir():
    """Return the folder of prepared datasets, or skip the test if there is none."""
    folder = os.environ.get("TFDS_DATA_DIR", "")
    if not os.path.isdir(os.path.join(folder, "mnist")):
        pytest.skip("needs a prepared MNIST: set TFDS_DATA_DIR to a folder that has it")
    return folder


@pytest.fixture
def xla(monkeypatch):
    """Let Keras use XLA even if the plan of an earlier test has made the process deterministic."""
    config = importlib.import_module("tensorflow.python.framework.config")
    monkeypatch.setattr(config, "is_op_determinism_enabled", lambda: False)
