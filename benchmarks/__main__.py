"""The command: `python -m benchmarks [NAMES] [--pairs 11] [--missing] [--page] [--check] [--list]`."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks import measuring, page, records
from benchmarks.catalog import BENCHMARKS, Benchmark, UnknownBenchmark, select
from benchmarks.pairs import MIN_PAIRS, Pair
from deepkit.utils import files
from deepkit.utils.errors import message

ROOT = Path(__file__).parent.parent
ENVIRONMENT = {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}  # the ratios are those of a CPU
RESULTS, PAGE = "benchmarks/results.json", "docs/benchmarks.md"


def main(args: Sequence[str] | None = None, *, root: Path = ROOT, benchmarks: Sequence[Benchmark] = BENCHMARKS) -> int:
    """Measure, record, and write the page; return an exit code.

    The code is 0, 1 (a row failed, or the page is out of date), 2 (invalid arguments) or 130 (interrupted).
    """
    options = _parser().parse_args(args)
    try:
        if options.list:
            print(
                "\n".join(f"{benchmark.name:<18} {benchmark.left} over {benchmark.right}" for benchmark in benchmarks)
            )
            return 0
        if options.check:
            return _check(root, benchmarks)
        if options.page:
            _write_page(root, benchmarks)
            return 0
        selected = select(options.names, benchmarks)
        if options.missing:
            selected = _missing(selected, root)
        return _run(selected, options.pairs, root, benchmarks)
    except (UnknownBenchmark, records.RecordsError) as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\ninterrupted; finished rows are recorded, and --missing measures the others", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure ratios and record them.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="benchmarks to measure; all if left out")
    pairs = f"pairs per benchmark; fewer than {MIN_PAIRS} are a trial, which is not recorded (default: 11 or 25)"
    parser.add_argument("--pairs", type=_positive_integer, default=None, help=pairs)
    parser.add_argument("--missing", action="store_true", help="only benchmarks without a result: resume")
    parser.add_argument("--page", action="store_true", help=f"only write {PAGE}")
    parser.add_argument("--check", action="store_true", help=f"only check that {PAGE} follows from {RESULTS}")
    parser.add_argument("--list", action="store_true", help="only list the benchmarks")
    return parser


def _positive_integer(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a positive integer, received {text!r}")
    return int(text)


def _missing(selected: Sequence[Benchmark], root: Path) -> Sequence[Benchmark]:
    rows = records.load(root / RESULTS)
    return [benchmark for benchmark in selected if benchmark.name not in rows or rows[benchmark.name].problem]


def _check(root: Path, benchmarks: Sequence[Benchmark]) -> int:
    """Compare the page with the recorded results."""
    path = root / PAGE
    expected = page.render(records.load(root / RESULTS), benchmarks)
    if path.exists() and path.read_text(encoding="utf-8") == expected:
        print(f"{PAGE}: up to date")
        return 0
    print(message(f"{PAGE} differs from {RESULTS}", hint="run `python -m benchmarks --page`"), file=sys.stderr)
    return 1


def _write_page(root: Path, benchmarks: Sequence[Benchmark]) -> None:
    files.atomic_write(root / PAGE, page.render(records.load(root / RESULTS), benchmarks))


def _run(selected: Sequence[Benchmark], pairs: int | None, root: Path, benchmarks: Sequence[Benchmark]) -> int:
    """Measure the benchmarks in turn, and record each before the next starts."""
    os.environ.update(ENVIRONMENT)  # inherited by the worker processes
    records.load(root / RESULTS)  # a damaged file fails now, not after the first row
    start, num_failed = time.perf_counter(), 0
    for number, benchmark in enumerate(selected, start=1):
        print(f"[{number:>2}/{len(selected)}] {benchmark.name:<18}", end="", flush=True)
        count = pairs or benchmark.pairs
        row = measuring.measure(benchmark, count, progress=_print_ratio)
        num_failed += row.problem == "failed"
        print(f"  {_describe(row)}", flush=True)
        if count >= MIN_PAIRS:
            records.merge(root / RESULTS, row)
            _write_page(root, benchmarks)
    print(f"{len(selected)} rows in {(time.perf_counter() - start) / 60:.1f} minutes, {num_failed} failed")
    if pairs is not None and pairs < MIN_PAIRS:
        print(f"a trial: {pairs} pairs are fewer than {MIN_PAIRS}, nothing is recorded")
    return 1 if num_failed else 0


def _print_ratio(pair: Pair) -> None:
    print(f" {pair[0] / pair[1]:.2f}", end="", flush=True)


def _describe(row: records.Row) -> str:
    if row.problem:
        return f"{row.problem}: {row.reason}"
    summary = row.summary()
    ratio, unit = summary.ratio, row.unit
    spread = f"{ratio.median:.3f} ({ratio.lower:.3f} to {ratio.upper:.3f})"
    return f"= {spread}, {page.conclusion(row)}; {summary.left:.4g} and {summary.right:.4g} {unit}"


if __name__ == "__main__":
    raise SystemExit(main())
