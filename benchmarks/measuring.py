"""Measure a benchmark: start its processes, measure pairs, and return a row even if a side fails."""

from __future__ import annotations

import contextlib
import datetime
from collections.abc import Callable
from dataclasses import replace

from benchmarks.catalog import Benchmark
from benchmarks.pairs import Pair, interleaved
from benchmarks.records import Row, command_line, without_paths
from benchmarks.worker import Failed, Unavailable, Worker
from deepkit.utils import machine

Progress = Callable[[Pair], None]


def measure(benchmark: Benchmark, pairs: int, *, progress: Progress = lambda pair: None) -> Row:
    """Measure one benchmark and return its row; a failure is a row too.

    Args:
        benchmark: The benchmark.
        pairs: Number of pairs.
        progress: Function to call with each pair.
    """
    empty = Row(
        name=benchmark.name,
        left=benchmark.left,
        right=benchmark.right,
        unit=benchmark.unit,
        target=benchmark.target,
        command=command_line(benchmark.name, pairs),
        date=datetime.date.today().isoformat(),
        hardware={name: text for name, text in machine.hardware().items() if name != "gpu"},
        versions=machine.versions(),
    )
    try:
        row = _measure_pairs(benchmark, pairs, empty, progress)
        row.verdict()  # fails here if a number is zero
        return row
    except Unavailable as error:
        return replace(empty, problem="not measured", reason=without_paths(str(error)))
    except (Failed, ValueError, KeyError) as error:
        return replace(empty, problem="failed", reason=without_paths(str(error)))


def _measure_pairs(benchmark: Benchmark, pairs: int, empty: Row, progress: Progress) -> Row:
    left, right = benchmark.sides
    with contextlib.ExitStack() as stack:
        if benchmark.separate_processes:
            workers = [stack.enter_context(contextlib.closing(Worker([side]))) for side in (left, right)]
            sides = [lambda: workers[0].measure(0), lambda: workers[1].measure(0)]
        else:
            workers = [stack.enter_context(contextlib.closing(Worker([left, right])))]
            sides = [lambda: workers[0].measure(0), lambda: workers[0].measure(1)]
        measured_pairs = []
        for pair in interleaved(*sides, pairs):
            measured_pairs.append(pair)
            progress(pair)
    facts = {name: text for worker in workers for name, text in worker.facts.items()}
    return replace(empty, pairs=tuple(measured_pairs), facts=facts, target=benchmark.target_for(facts))
