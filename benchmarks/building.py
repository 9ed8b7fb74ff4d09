"""Time to build a deep net, to import packages and to start a command."""

from __future__ import annotations

import functools
import gc
import subprocess
import sys
import time
from collections.abc import Callable

from benchmarks.worker import Side


def deep() -> Side:
    """Return the build time of the deep net in deepkit, including that of its definition."""
    from benchmarks import nets

    return _build_time(lambda: nets.deep().build((32, 32, 3)))


def deep_handwritten() -> Side:
    """Return the build time of the same net in plain Keras."""
    from benchmarks import nets

    return _build_time(nets.deep_handwritten)


def resnet110() -> Side:
    """Return the build time of ResNet-110 in deepkit, including that of its definition."""
    from benchmarks import nets

    return _build_time(lambda: nets.resnet110().build((32, 32, 3)))


def resnet110_handwritten() -> Side:
    """Return the build time of the same net in plain Keras."""
    from benchmarks import nets

    return _build_time(nets.resnet110_handwritten)


def _build_time(build: Callable[[], object]) -> Side:
    import keras

    def measure() -> float:
        keras.utils.clear_session()
        gc.collect()
        start = time.perf_counter()
        build()
        return time.perf_counter() - start

    return Side(measure)


def process_time(code: str) -> Side:
    """Return the wall time of a new interpreter that runs some code."""

    def measure() -> float:
        start = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return time.perf_counter() - start

    return Side(measure)


import_keras = functools.partial(process_time, "import keras")
import_deepkit = functools.partial(process_time, "import deepkit")
command_help = functools.partial(process_time, "from deepkit.cli.main import main; raise SystemExit(main(['--help']))")
