"""The state of a kernel process at the beginning of a page; this module runs inside the kernel."""

from __future__ import annotations

import gc
import importlib
import os
import random
import sys
import time

from IPython import get_ipython

SEED = 0
start_seconds = 0.0
environment = dict(os.environ)


def begin_page(directory: str, preload: tuple[str, ...]) -> None:
    """Empty the namespace, enter a working directory, and restore the environment variables and the random state.

    Args:
        directory: The working directory of the page.
        preload: Modules to import, so that the time and the messages of their import belong to no page.
    """
    global start_seconds
    os.chdir(directory)  # first, because the directory of the previous page no longer exists
    os.environ.clear()
    os.environ.update(environment)
    for name in preload:
        importlib.import_module(name)
    get_ipython().reset(new_session=True)
    random.seed(SEED)
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed(SEED)
    if "keras" in sys.modules:
        _restore_keras(sys.modules["keras"])
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")
    gc.collect()  # models contain reference cycles
    start_seconds = time.process_time()


def _restore_keras(keras) -> None:
    """Restore the names of layers, the dtypes and the seeds, and silence messages about many models in one process."""
    keras.utils.clear_session()
    keras.utils.set_random_seed(SEED)
    keras.config.set_dtype_policy("float32")
    keras.config.set_floatx("float32")
    tensorflow = sys.modules.get("tensorflow")
    if tensorflow is not None:
        tensorflow.get_logger().setLevel("ERROR")


def exit_code() -> int:
    """Return the exit code of the last command."""
    return int(get_ipython().user_ns["_exit_code"])


def page_seconds() -> float:
    """Return the CPU-seconds since the beginning of the page."""
    return time.process_time() - start_seconds
