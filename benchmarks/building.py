"""Building a deep net, and starting: what is waited for before any training."""

from __future__ import annotations

import functools
import gc
import subprocess
import sys
import time
from collections.abc import Callable

from benchmarks.worker import Side


def deep() -> Side:
    """Return the seconds deepkit takes to build the deep net, its definition included."""
    from benchmarks import nets

    return _building(lambda: nets.deep().build((32, 32, 3)))


def deep_by_hand() -> Side:
    """Return the seconds plain Keras takes for the same net."""
    from benchmarks import nets

    return _building(nets.deep_by_hand)


def resnet110() -> Side:
    """Return the seconds deepkit takes to build ResNet-110, its definition included."""
    from benchmarks import nets

    return _building(lambda: nets.resnet110().build((32, 32, 3)))


def resnet110_by_hand() -> Side:
    """Return the seconds plain Keras takes for the same net."""
    from benchmarks import nets

    return _building(nets.resnet110_by_hand)


def _building(build: Callable[[], object]) -> Side:
    import keras

    def measure() -> float:
        keras.utils.clear_session()
        gc.collect()
        began = time.perf_counter()
        build()
        return time.perf_counter() - began

    return Side(measure)


def starting(code: str) -> Side:
    """Return the wall seconds of a fresh interpreter that runs some code."""

    def measure() -> float:
        began = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return time.perf_counter() - began

    return Side(measure)


import_keras = functools.partial(starting, "import keras")
import_deepkit = functools.partial(starting, "import deepkit")
command_help = functools.partial(starting, "from deepkit.cli.main import main; raise SystemExit(main(['--help']))")
