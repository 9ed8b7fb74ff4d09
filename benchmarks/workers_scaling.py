"""The projection to more workers, on paper: the time of a step from the times measured with two.

Its assumptions:

- The workers sum with a ring: each sends 2 (n - 1) messages for a sum, and with them 2 (n - 1) / n of its bytes.
- Nothing overlaps: a worker computes its gradients, then all of them sum, as the measured workers do.
- A message takes a fixed time, and each byte takes a fixed time.
- All workers are equally fast, each with a core and a link of its own, and none waits for another.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class LinkCosts:
    """What a message costs on a link.

    Args:
        message_seconds: Seconds of a message, however short.
        byte_seconds: Seconds of each byte.
    """

    message_seconds: float
    byte_seconds: float

    def over_wire(self, gigabits: float) -> LinkCosts:
        """Return the costs with the time of a wire added to that of the software, which does not overlap with it.

        Args:
            gigabits: Rate of the wire in Gbit/s.
        """
        return replace(self, byte_seconds=self.byte_seconds + 8e-9 / gigabits)


@dataclass(frozen=True)
class StepCosts:
    """What a step costs.

    Args:
        fixed_seconds: Seconds of computation that do not depend on the batch.
        example_seconds: Seconds of computation for each example of a worker.
        num_bytes: Bytes of the gradients.
        num_reductions: Number of sums over the workers in a step, with that of the gradients.
    """

    fixed_seconds: float
    example_seconds: float
    num_bytes: int
    num_reductions: int

    def computation_seconds(self, num_examples: float) -> float:
        """Return the seconds of computation of a worker for its examples."""
        return self.fixed_seconds + self.example_seconds * num_examples


def minimum_bytes(num_workers: int, num_bytes: float) -> float:
    """Return the bytes that each worker must send for a sum: 2 (n - 1) / n times the bytes that are summed.

    Examples:
        >>> minimum_bytes(2, 1000), minimum_bytes(8, 1000)
        (1000.0, 1750.0)
    """
    return 2 * (num_workers - 1) / num_workers * num_bytes


def sum_seconds(num_workers: int, num_bytes: float, link: LinkCosts) -> float:
    """Return the seconds of a sum over a ring.

    Examples:
        >>> sum_seconds(8, 1000, LinkCosts(message_seconds=0.5, byte_seconds=0.001))
        8.75
    """
    return 2 * (num_workers - 1) * link.message_seconds + minimum_bytes(num_workers, num_bytes) * link.byte_seconds


def link_costs(number_seconds: float, gradients_seconds: float, num_bytes: float) -> LinkCosts:
    """Return the costs of a link from two sums that two workers measured on it.

    Args:
        number_seconds: Seconds of the sum of a single number.
        gradients_seconds: Seconds of the sum of the gradients.
        num_bytes: Bytes of the gradients.
    """
    byte_seconds = (gradients_seconds - number_seconds) / minimum_bytes(2, num_bytes)
    return LinkCosts(number_seconds / 2, max(0.0, byte_seconds))


def step_costs(seconds: Mapping[int, float], num_bytes: int, num_reductions: int) -> StepCosts:
    """Return the costs of a step from the seconds of two batch sizes.

    Args:
        seconds: Seconds of a step without communication, for two numbers of examples.
        num_bytes: Bytes of the gradients.
        num_reductions: Number of sums in a step.
    """
    smaller, larger = sorted(seconds)
    per_example = (seconds[larger] - seconds[smaller]) / (larger - smaller)
    fixed = seconds[larger] - per_example * larger
    if fixed < 0:  # noise: a step is then proportional to its examples
        fixed, per_example = 0.0, seconds[larger] / larger
    return StepCosts(fixed, per_example, num_bytes, num_reductions)


def step_seconds(num_workers: int, num_examples: float, step: StepCosts, link: LinkCosts) -> float:
    """Return the seconds of a step of some workers.

    Args:
        num_workers: Number of workers.
        num_examples: Examples of each worker.
        step: Costs of the step.
        link: Costs of the link.
    """
    computation = step.computation_seconds(num_examples)
    if num_workers == 1:
        return computation
    numbers = (step.num_reductions - 1) * sum_seconds(num_workers, 4, link)  # of the losses and metrics
    return computation + sum_seconds(num_workers, step.num_bytes, link) + numbers


def efficiency(
    num_workers: int, num_examples: int, step: StepCosts, link: LinkCosts, *, divide_batch: bool = False
) -> float:
    """Return the examples per second and worker, relative to one worker.

    Args:
        num_workers: Number of workers.
        num_examples: Examples of the batch of one worker.
        step: Costs of the step.
        link: Costs of the link.
        divide_batch: Whether the workers divide this batch (strong scaling), or each has as many (weak scaling).
    """
    one = step_seconds(1, num_examples, step, link)
    if divide_batch:
        return one / (num_workers * step_seconds(num_workers, num_examples / num_workers, step, link))
    return one / step_seconds(num_workers, num_examples, step, link)
