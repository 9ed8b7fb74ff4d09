"""The recorded run of the benchmark of several workers: one generated JSON file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.pairs import Spread
from benchmarks.records import read
from benchmarks.workers_scaling import LinkCosts, StepCosts, link_costs, step_costs
from deepkit.utils import files

FORMAT = 1
LOOPBACK = "loopback"
ALONE, BESIDE, TOGETHER = "alone", "beside", "together"
SIDES = (ALONE, BESIDE, TOGETHER)


@dataclass(frozen=True)
class StepTimes:
    """The times of a training step.

    Args:
        side: `"alone"`: one worker on one core; `"beside"`: two that do not communicate, each on its core;
            `"together"`: two that train one model.
        num_examples: Examples of each worker in a step.
        milliseconds: Milliseconds of a step by round; those of the slower one of two workers.
        sent: Bytes that a worker sends in a step, by round, the mean of both workers.
    """

    side: str
    num_examples: int
    milliseconds: tuple[float, ...]
    sent: tuple[float, ...] = ()


@dataclass(frozen=True)
class LinkResult:
    """The measurements on a link.

    Args:
        name: Name of the link.
        problem: Why it was not measured.
        steps: The times of the steps of each side.
        gradients: Milliseconds of the sum of the gradients by round, without a training.
        number: Milliseconds of the sum of a single number by round.
    """

    name: str
    problem: str = ""
    steps: tuple[StepTimes, ...] = ()
    gradients: tuple[float, ...] = ()
    number: tuple[float, ...] = ()

    def times(self, side: str, num_examples: int) -> StepTimes:
        """Return the times of a side."""
        (times,) = [row for row in self.steps if (row.side, row.num_examples) == (side, num_examples)]
        return times

    def milliseconds(self, side: str, num_examples: int) -> float:
        """Return the median milliseconds of a step."""
        return float(median(self.times(side, num_examples).milliseconds))

    def batch_sizes(self) -> list[int]:
        """Return the numbers of examples of a worker, the larger one first."""
        return sorted({row.num_examples for row in self.steps}, reverse=True)

    def speedup(self, one: int, two: int) -> Spread:
        """Return how many times as many examples per second two workers train as one, over the rounds.

        Args:
            one: Examples in a step of one worker.
            two: Examples of each of two workers.
        """
        pairs = zip(self.times(ALONE, one).milliseconds, self.times(TOGETHER, two).milliseconds, strict=True)
        return Spread.of([2 * two / one * alone / together for alone, together in pairs])


@dataclass(frozen=True)
class Run:
    """A run of the benchmark on a machine.

    Args:
        command: Command of the run.
        date: Day of the run, as `2026-01-31`.
        hardware: Hardware of the machine.
        versions: Versions of the software.
        num_weights: Weights of the network, all of them trained in float32.
        num_reductions: Number of sums over the workers in a step, with that of the gradients.
        num_steps: Measured steps of an epoch; each round trains one epoch of each side.
        links: The measurements on each link.
    """

    command: str
    date: str
    hardware: Mapping[str, str]
    versions: Mapping[str, str]
    num_weights: int
    num_reductions: int
    num_steps: int
    links: tuple[LinkResult, ...]

    @property
    def gradient_bytes(self) -> int:
        """The bytes of the gradients in float32."""
        return 4 * self.num_weights

    def measured_links(self) -> list[LinkResult]:
        """Return the links that were measured."""
        return [link for link in self.links if not link.problem]

    def link_costs(self, link: LinkResult) -> LinkCosts:
        """Return the costs of a measured link."""
        seconds = [median(values) / 1e3 for values in (link.number, link.gradients)]
        return link_costs(*seconds, self.gradient_bytes)

    def step_costs(self, link: LinkResult) -> StepCosts:
        """Return the costs of a step, with the computation that was measured beside the trainings on a link."""
        seconds = {size: link.milliseconds(BESIDE, size) / 1e3 for size in link.batch_sizes()}
        return step_costs(seconds, self.gradient_bytes, self.num_reductions)


def load(path: Path) -> Run | None:
    """Return the recorded run; None if the file does not exist.

    Raises:
        RecordsError: The file exists and is not a file of these results.
    """
    return read(path, FORMAT, lambda content: {"run": _run(content["run"])}).get("run")


def _run(content: Mapping[str, Any]) -> Run:
    links = tuple(
        LinkResult(**_tuples({**link, "steps": [StepTimes(**_tuples(row)) for row in link["steps"]]}))
        for link in content["links"]
    )
    return Run(**{**content, "links": links})


def _tuples(content: Mapping[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in content.items()}


def save(path: Path, run: Run) -> None:
    """Write the run to the file.

    Raises:
        OSError: The file cannot be written.
    """
    content = _rounded(asdict(run))
    links = []
    for link in content.pop("links"):
        steps = ",".join(f"\n   {json.dumps(row)}" for row in link.pop("steps"))
        links.append(f'  {json.dumps(link)[:-1]}, "steps": [{steps}]}}')
    joined = ",\n".join(links)
    text = f'{{"format": {FORMAT}, "run": {json.dumps(content)[:-1]}, "links": [\n{joined}\n]}}}}\n'
    files.atomic_write(path, text)


def _rounded(value: Any) -> Any:
    """Return plain data with numbers of five significant digits."""
    if isinstance(value, float):
        return float(f"{value:.5g}")
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    return [_rounded(item) for item in value] if isinstance(value, list | tuple) else value
