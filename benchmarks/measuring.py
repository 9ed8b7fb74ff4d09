"""From a benchmark to its row: processes started, pairs measured, and no failure that ends the others."""

from __future__ import annotations

import contextlib
import datetime
from collections.abc import Callable
from dataclasses import replace

from benchmarks.catalogue import Benchmark
from benchmarks.pairs import Pair, interleaved
from benchmarks.records import Row, command, without_paths
from benchmarks.worker import Failed, Unavailable, Worker
from deepkit.utils import machine

Progress = Callable[[Pair], None]


def measure(benchmark: Benchmark, pairs: int, *, progress: Progress = lambda pair: None) -> Row:
    """Return the row of one benchmark, whatever comes of it.

    Args:
        benchmark: What to measure.
        pairs: Number of pairs.
        progress: Told of each pair.
    """
    blank = Row(
        name=benchmark.name,
        left=benchmark.left,
        right=benchmark.right,
        unit=benchmark.unit,
        target=benchmark.target,
        command=command(benchmark.name, pairs),
        date=datetime.date.today().isoformat(),
        hardware={name: text for name, text in machine.hardware().items() if name != "gpu"},
        versions=machine.versions(),
    )
    try:
        row = _measured(benchmark, pairs, blank, progress)
        row.verdict()
        return row
    except Unavailable as error:
        return replace(blank, problem="not measured", why=without_paths(str(error)))
    except (Failed, ValueError, KeyError) as error:
        return replace(blank, problem="failed", why=without_paths(str(error)))


def _measured(benchmark: Benchmark, pairs: int, blank: Row, progress: Progress) -> Row:
    left, right = benchmark.sides
    with contextlib.ExitStack() as stack:
        if benchmark.apart:
            workers = [stack.enter_context(contextlib.closing(Worker([side]))) for side in (left, right)]
            sides = [lambda: workers[0].measure(0), lambda: workers[1].measure(0)]
        else:
            workers = [stack.enter_context(contextlib.closing(Worker([left, right])))]
            sides = [lambda: workers[0].measure(0), lambda: workers[0].measure(1)]
        found = []
        for pair in interleaved(*sides, pairs):
            found.append(pair)
            progress(pair)
    facts = {name: text for worker in workers for name, text in worker.facts.items()}
    return replace(blank, pairs=tuple(found), facts=facts, target=benchmark.target_for(facts))
