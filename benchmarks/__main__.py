"""The command: `python -m benchmarks [NAMES] [--pairs 11] [--missing] [--page] [--check] [--list]`."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks import measuring, page, records
from benchmarks.catalogue import BENCHMARKS, Benchmark, UnknownBenchmark, named
from benchmarks.pairs import LEAST, Pair
from deepkit.utils import files as _files

ROOT = Path(__file__).parent.parent
SETTINGS = {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}  # these ratios are a processor's
RESULTS, PAGE = "benchmarks/results.json", "docs/benchmarks.md"


def main(args: Sequence[str] | None = None, *, root: Path = ROOT, benchmarks: Sequence[Benchmark] = BENCHMARKS) -> int:
    """Measure, record, and write the page; return 0, 1 (a row failed, a stale page), 2 (misused), 130."""
    options = _parser().parse_args(args)
    try:
        if options.list:
            print("\n".join(f"{b.name:<18} {b.left} over {b.right}" for b in benchmarks))
            return 0
        if options.check:
            return _check(root, benchmarks)
        if options.page:
            _write_page(root, benchmarks)
            return 0
        chosen = named(options.names, benchmarks)
        if options.missing:
            chosen = _missing(chosen, root)
        return _run(chosen, options.pairs, root, benchmarks)
    except (UnknownBenchmark, records.RecordsError) as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nstopped; the finished rows are kept, and --missing goes on with the others", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure ratios and record them.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="which benchmarks; all if left out")
    pairs = f"pairs of each; fewer than {LEAST} are a trial, of which nothing is written (default: 11, or 25)"
    parser.add_argument("--pairs", type=_count, default=None, help=pairs)
    parser.add_argument("--missing", action="store_true", help="only those without a result: go on where it stopped")
    parser.add_argument("--page", action="store_true", help=f"only write {PAGE} anew")
    parser.add_argument("--check", action="store_true", help=f"only check that {PAGE} is what {RESULTS} gives")
    parser.add_argument("--list", action="store_true", help="only show the names")
    return parser


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number from 1, received {text!r}")
    return int(text)


def _missing(chosen: Sequence[Benchmark], root: Path) -> Sequence[Benchmark]:
    rows = records.load(root / RESULTS)
    return [b for b in chosen if b.name not in rows or rows[b.name].problem]


def _check(root: Path, benchmarks: Sequence[Benchmark]) -> int:
    """Compare the page with what the results give."""
    path = root / PAGE
    wanted = page.render(records.load(root / RESULTS), benchmarks)
    if path.exists() and path.read_text(encoding="utf-8") == wanted:
        print(f"{PAGE}: up to date")
        return 0
    print(f"{PAGE} is not what {RESULTS} gives\n  hint: python -m benchmarks --page", file=sys.stderr)
    return 1


def _write_page(root: Path, benchmarks: Sequence[Benchmark]) -> None:
    _files.write(root / PAGE, page.render(records.load(root / RESULTS), benchmarks))


def _run(chosen: Sequence[Benchmark], pairs: int | None, root: Path, benchmarks: Sequence[Benchmark]) -> int:
    """Measure one benchmark after the other; each is on disk before the next begins."""
    os.environ.update(SETTINGS)  # of the processes that are started
    records.load(root / RESULTS)  # fails now rather than after the first row
    began, failed = time.perf_counter(), 0
    for number, benchmark in enumerate(chosen, start=1):
        print(f"[{number:>2}/{len(chosen)}] {benchmark.name:<18}", end="", flush=True)
        count = pairs or benchmark.pairs
        row = measuring.measure(benchmark, count, progress=_show)
        failed += row.problem == "failed"
        print(f"  {_said(row)}", flush=True)
        if count >= LEAST:
            records.merge(root / RESULTS, row)
            _write_page(root, benchmarks)
    print(f"{len(chosen)} rows in {(time.perf_counter() - began) / 60:.1f} minutes, {failed} failed")
    if pairs is not None and pairs < LEAST:
        print(f"a trial: {pairs} pairs are fewer than {LEAST}, nothing is written")
    return 1 if failed else 0


def _show(pair: Pair) -> None:
    print(f" {pair[0] / pair[1]:.2f}", end="", flush=True)


def _said(row: records.Row) -> str:
    if row.problem:
        return f"{row.problem}: {row.why}"
    summary = row.summary()
    ratio, unit = summary.ratio, row.unit
    spread = f"{ratio.median:.3f} ({ratio.lower:.3f} to {ratio.upper:.3f})"
    return f"= {spread}, {page.conclusion(row)}; {summary.left:.4g} and {summary.right:.4g} {unit}"


if __name__ == "__main__":
    raise SystemExit(main())
