"""What every test shares: a quiet TensorFlow, and no state of one test seen by the next."""

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
    """Let runs in a folder draw no pictures, which takes longer than a small training: reports have their own tests."""
    monkeypatch.setattr("deepkit.training.run_report.write", lambda *parts: None)


@pytest.fixture
def tfds_dir():
    """Return the folder of prepared data sets, or skip where there is none."""
    folder = os.environ.get("TFDS_DATA_DIR", "")
    if not os.path.isdir(os.path.join(folder, "mnist")):
        pytest.skip("needs a prepared MNIST: set TFDS_DATA_DIR to a folder that has it")
    return folder


@pytest.fixture
def xla(monkeypatch):
    """XLA, also where an earlier test's plan has made the process deterministic: Keras would leave XLA out then."""
    config = importlib.import_module("tensorflow.python.framework.config")
    monkeypatch.setattr(config, "is_op_determinism_enabled", lambda: False)
