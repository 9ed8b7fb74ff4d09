"""Sides of benchmarks for the tests, imported by name in a worker process."""

import os

from benchmarks.worker import Side, Unavailable


def one():
    return Side(lambda: 1.0, {"one": "here"})


def two():
    return Side(lambda: 2.0)


def absent():
    raise Unavailable("no PyTorch here")


def broken():
    raise OSError("/some/where/lib.so is gone")


def dying():
    return Side(lambda: os._exit(3))


def silent():
    import time

    return Side(lambda: time.sleep(60) or 1.0)
