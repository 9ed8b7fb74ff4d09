"""The benchmark of several workers: `python -m benchmarks.workers [--rounds 9] [--results FILE] [--page] [--check]`.

Two workers train on one core each, against one worker on one core: on loopback, and between two network namespaces,
which need root, without and with a rate limit. What eight and 64 workers would reach is projected from these times.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import NoReturn

from benchmarks import workers_network, workers_page, workers_records
from benchmarks.pairs import MIN_PAIRS
from benchmarks.records import RecordsError, without_paths
from benchmarks.workers_network import LOOPBACK, Link, LinkError
from benchmarks.workers_processes import (
    BATCH_SIZES,
    NUM_STEPS,
    WARM_UP_STEPS,
    Answer,
    Group,
    ProcessError,
    connected_workers,
    independent_workers,
    machine_problem,
)
from benchmarks.workers_records import ALONE, BESIDE, SIDES, TOGETHER, LinkResult, Run, StepTimes
from deepkit.utils import files, machine
from deepkit.utils.errors import message

ROOT = Path(__file__).parent.parent
RESULTS, PAGE = "benchmarks/workers_results.json", "docs/worker_benchmarks.md"
LINKS = {"loopback": None, "namespaces": None, "namespaces, 1 Gbit/s": 1.0}  # with their rate limits in Gbit/s


@dataclass(frozen=True)
class Side:
    """A side of the comparison, whose processes wait for their next epoch.

    Args:
        name: `"alone"`, `"beside"` or `"together"`.
        num_examples: Examples of each worker in a step.
        group: Its processes.
        count: Number of them that train.
    """

    name: str
    num_examples: int
    group: Group
    count: int


@dataclass
class Measurements:
    """The measurements of a side, by round."""

    milliseconds: list[float] = field(default_factory=list)
    sent: list[float] = field(default_factory=list)


def main(args: Sequence[str] | None = None, *, root: Path = ROOT) -> int:
    """Run the benchmark, record it and write the page; return an exit code.

    The code is 0, 1 (a link failed, or the page is out of date), 2 (invalid arguments, or this machine cannot run the
    benchmark) or 130 (interrupted).
    """
    options = _parser().parse_args(args)
    try:
        recorded = workers_records.load(root / RESULTS)
        if options.check or options.page:
            return _write_or_check_page(recorded, root / PAGE, check=options.check)
        if problem := machine_problem():
            print(problem, file=sys.stderr)
            return 2
        run = measure(options.rounds, f"python -m benchmarks.workers --rounds {options.rounds}")
        print(workers_page.summary(run))
        if options.results:
            workers_records.save(Path(options.results), run)
        elif options.rounds >= MIN_PAIRS:
            workers_records.save(root / RESULTS, run)
            _write_or_check_page(workers_records.load(root / RESULTS), root / PAGE, check=False)
        else:
            print(f"a trial: {options.rounds} rounds are fewer than {MIN_PAIRS}, nothing is recorded")
    except RecordsError as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\ninterrupted; nothing is recorded", file=sys.stderr)
        return 130
    return 1 if any(link.problem.startswith("failed") for link in run.links) else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.workers", description="Measure two workers.")
    rounds = f"rounds for each link; fewer than {MIN_PAIRS} are a trial, which is not recorded (default: {MIN_PAIRS})"
    parser.add_argument("--rounds", type=_positive_integer, default=MIN_PAIRS, help=rounds)
    parser.add_argument("--results", metavar="FILE", help=f"write the results there instead of {RESULTS} and the page")
    parser.add_argument("--page", action="store_true", help=f"only write {PAGE}")
    parser.add_argument("--check", action="store_true", help=f"only check that {PAGE} follows from {RESULTS}")
    return parser


def _positive_integer(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a positive integer, received {text!r}")
    return int(text)


def _write_or_check_page(run: Run | None, path: Path, *, check: bool) -> int:
    text = workers_page.render(run)
    if not check:
        files.atomic_write(path, text)
        return 0
    if path.exists() and path.read_text(encoding="utf-8") == text:
        print(f"{PAGE}: up to date")
        return 0
    hint = "run `python -m benchmarks.workers --page`"
    print(message(f"{PAGE} differs from {RESULTS}", hint=hint), file=sys.stderr)
    return 1


def measure(num_rounds: int, command: str) -> Run:
    """Measure all links, and return the run.

    Args:
        num_rounds: Rounds for each link.
        command: Command of the run.
    """
    facts: dict[str, int] = {}
    links = []
    with _sigterm_as_interrupt(), contextlib.ExitStack() as stack:
        groups = {size: stack.enter_context(contextlib.closing(independent_workers(size))) for size in BATCH_SIZES}
        for group in groups.values():
            facts["weights"] = group.answers()[0]["weights"]
        for name, gigabits in LINKS.items():
            print(f"{name:<22}", end="", flush=True)
            links.append(_measure_link(name, gigabits, groups, num_rounds, facts))
            print(f" {links[-1].problem or 'measured'}", flush=True)
    return Run(
        command=command,
        date=datetime.date.today().isoformat(),
        hardware={name: text for name, text in machine.hardware().items() if name != "gpu"},
        versions=machine.versions(),
        num_weights=facts["weights"],
        num_reductions=facts.get("reductions", 1),
        num_steps=NUM_STEPS,
        links=tuple(links),
    )


@contextlib.contextmanager
def _sigterm_as_interrupt() -> Iterator[None]:
    """Treat SIGTERM as Ctrl-C in a `with` block, so that processes and namespaces are removed."""

    def interrupt(number: int, frame: FrameType | None) -> NoReturn:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _measure_link(
    name: str, gigabits: float | None, independent: Mapping[int, Group], num_rounds: int, facts: dict[str, int]
) -> LinkResult:
    """Measure a link; a link that this machine cannot make, or a failure, is a result too."""
    if name != workers_records.LOOPBACK and (problem := workers_network.namespaces_problem()):
        return LinkResult(name, problem)
    try:
        with contextlib.ExitStack() as stack:
            link = LOOPBACK
            if name != workers_records.LOOPBACK:
                link = stack.enter_context(workers_network.network_namespaces(gigabits))
            together = {
                size: stack.enter_context(contextlib.closing(connected_workers(link, offset, 2 * size)))
                for offset, size in enumerate(BATCH_SIZES)
            }
            for group in together.values():
                group.answers()
            return _measure_rounds(name, link, make_sides(independent, together), num_rounds, facts)
    except LinkError as error:
        return LinkResult(name, f"not measured: {without_paths(str(error))}")
    except ProcessError as error:
        return LinkResult(name, f"failed: {without_paths(str(error))}")


def make_sides(independent: Mapping[int, Group], together: Mapping[int, Group]) -> list[Side]:
    """Return the sides of the comparison.

    Args:
        independent: Two processes that do not communicate, for each number of examples.
        together: Two workers that train one model, for each number of examples of a worker.
    """
    counts = {ALONE: 1, BESIDE: 2, TOGETHER: 2}
    return [
        Side(name, size, (together if name == TOGETHER else independent)[size], counts[name])
        for size in BATCH_SIZES
        for name in SIDES
    ]


def _measure_rounds(name: str, link: Link, sides: Sequence[Side], num_rounds: int, facts: dict[str, int]) -> LinkResult:
    """Measure all sides in each round, which begins with another one; a first round is not counted."""
    measurements = [Measurements() for _ in sides]
    gradients, numbers = [], []
    connected = next(side.group for side in sides if side.name == TOGETHER)
    for number in range(-1, num_rounds):
        for offset in range(len(sides)):
            index = (number + offset) % len(sides)
            side = sides[index]
            before = side.group.ask("sent", side.count)
            answers = side.group.ask("epoch", side.count)
            after = side.group.ask("sent", side.count)
            facts["reductions"] = max(facts.get("reductions", 1), *(answer["reductions"] for answer in answers))
            if number >= 0:
                measurements[index].milliseconds.append(1e3 * max(answer["seconds"] for answer in answers))
                if side.name == TOGETHER or link.is_shared:  # the others are not in the namespaces
                    measurements[index].sent.append(sent_per_step(link, before, after))
        sums = connected.ask("sum")
        if number >= 0:
            gradients.append(1e3 * max(answer["gradients"] for answer in sums))
            numbers.append(1e3 * max(answer["number"] for answer in sums))
        print(".", end="", flush=True)
    rows = tuple(
        StepTimes(side.name, side.num_examples, tuple(row.milliseconds), tuple(row.sent))
        for side, row in zip(sides, measurements, strict=True)
    )
    return LinkResult(name, steps=rows, gradients=tuple(gradients), number=tuple(numbers))


def sent_per_step(link: Link, before: Sequence[Answer], after: Sequence[Answer]) -> float:
    """Return the bytes that a worker has sent in a step, the mean of all workers.

    Args:
        link: The link.
        before: Counters of each worker before an epoch, while none of them trains.
        after: Its counters after it.
    """
    num_workers, num_steps = len(before), WARM_UP_STEPS + NUM_STEPS
    differences = [
        {device: count - start["sent"].get(device, 0) for device, count in end["sent"].items()}
        for start, end in zip(before, after, strict=True)
    ]
    if link.is_shared:  # one counter, with the bytes of both
        return differences[0].get("lo", 0) / num_workers / num_steps
    sent = sum(count for counts in differences for device, count in counts.items() if device != "lo")
    return sent / num_workers / num_steps


if __name__ == "__main__":
    raise SystemExit(main())
