"""The bench: candidates of one field of a plan beside each other, checked for their loss and timed in turns."""

from __future__ import annotations

import functools
import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from deepkit.execution.plan import Plan
from deepkit.training.training_data import TrainingData
from deepkit.training.trial import Trial, first_batches

ROUNDS = 7
MARGIN = 0.03  # a net that is timed against itself differs by about as much
HOPELESS = 2.0  # times as slow as the choice so far at the first look: not looked at again
ROUND_SECONDS = 0.25  # about
MOST_STEPS = 256  # in a round
CHECKED = 4  # steps over which losses are compared, at least
REDRAWS = 3  # other random numbers, to see how much of a loss is chance
CLOSE = 1e-4  # relative: what another order of the same sums makes of a loss
HALVES = 2e-2  # relative, where numbers have 16 bits: bfloat16's next one after 1 is 1.008, and a loss is a mean


class Candidate:
    """One value of a field: a plan, its trial, and what was found.

    Args:
        value: Of the field.
        plan: With this value.
    """

    def __init__(self, value: Any, plan: Plan) -> None:
        self.value, self.plan = value, plan
        self.trial: Trial | None = None
        self.loss: float | None = None
        self.seconds: list[float] = []  # a step, by round
        self.out = ""  # why it cannot be taken

    @property
    def milliseconds(self) -> float | None:
        """A step in the median round, or None where none was timed."""
        return 1e3 * statistics.median(self.seconds) if self.seconds else None

    @property
    def stride(self) -> int:
        """The steps of one call."""
        return self._trial.plan.steps_per_execution

    def start(self, make: Callable[[Plan], Trial]) -> None:
        """Build the model, or say why XLA is left out of it."""
        self.trial = self.trial or make(self.plan)
        if self.plan.jit_compile and not self.trial.plan.jit_compile:
            self.out = f"not measured: {dict(self.trial.plan.reasons)['jit_compile']}"

    def check(self, steps: int, reference: Candidate) -> None:
        """Compile the model, and compare the mean loss of its first steps with the reference's."""
        self.loss = self._trial.loss(steps)
        if not math.isfinite(self.loss):
            self.out = f"refused: its loss is {self.loss}"
        elif reference is not self:
            expected, allowed = reference.expected(steps, self.plan)
            if abs(self.loss - expected) > allowed:
                self.out = f"refused: its loss is {self.loss:.5g}, and {expected:.5g} with {words(reference.value)}"

    def expected(self, steps: int, other: Plan) -> tuple[float, float]:
        """Return the loss that another plan should have, and how far from it it may be.

        In another precision and under XLA a model draws other random numbers from the same seed. What these make of
        the loss is seen by drawing others here.
        """
        same_draws = (other.precision, other.jit_compile) == (self.plan.precision, self.plan.jit_compile)
        draws = 0 if same_draws or not self._trial.draws else REDRAWS
        own = [] if self.loss is None else [self.loss]
        losses = own + [self._trial.loss(steps, draw=draw) for draw in range(1, draws + 1)]
        halves = "16" in other.precision or "16" in self.plan.precision
        mean = statistics.fmean(losses)
        return mean, (HALVES if halves else CLOSE) * abs(mean) + 2 * (max(losses) - min(losses))

    def time(self, steps: int) -> None:
        """Time so many steps, once."""
        self.seconds.append(self._trial.seconds(steps))

    def attempt(self, work: Callable[..., None], *arguments: Any) -> None:
        """Do something, and be out if it fails in whatever way: no candidate ends the run."""
        try:
            work(*arguments)
        except Exception as error:
            line = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
            self.out = f"failed: {type(error).__name__}: {line[:160]}".removesuffix(": ")

    def faster_than(self, other: Candidate) -> bool:
        """Tell whether it is faster by more than noise: in the median round by 3 %, and in all rounds but one."""
        ratios = sorted(mine / its for mine, its in zip(self.seconds, other.seconds, strict=True))
        return statistics.median(ratios) <= 1 - MARGIN and ratios[-2] < 1

    @property
    def _trial(self) -> Trial:
        if self.trial is None:
            raise RuntimeError("a candidate is built before it is run")
        return self.trial


class Bench:
    """Where candidates are built and compared.

    Args:
        net: The definition.
        feed: The data of the run.
        compiled: What `fit` got of `optimizer`, `loss`, `loss_weights` and `metrics`.
    """

    def __init__(self, net: Any, feed: TrainingData, compiled: Mapping[str, Any]) -> None:
        self._net, self._feed, self._compiled = net, feed, compiled

    @functools.cached_property
    def _batches(self) -> Any:
        return first_batches(self._feed)

    def trial(self, plan: Plan) -> Trial:
        """Build and compile the model under a plan."""
        return Trial(self._net, self._feed, plan, self._compiled, self._batches)

    def compare(self, candidates: Sequence[Candidate], reference: Candidate) -> Candidate:
        """Return the candidate to take; the first one is the choice so far, which stands where nothing beats it.

        Args:
            candidates: Of one field, from the plainest on after the first.
            reference: The one of them whose loss the others must have.
        """
        stride = max(candidate.plan.steps_per_execution for candidate in candidates)
        checked = stride * math.ceil(CHECKED / stride)
        for candidate in [reference, *(each for each in candidates if each is not reference)]:
            if reference.out:
                candidate.out = f"not compared: {words(reference.value)} {reference.out}"
                continue
            candidate.attempt(candidate.start, self.trial)
            if not candidate.out:
                candidate.attempt(candidate.check, checked, reference)
        _time(candidates)
        fit = _fit(candidates)
        best = fit[0] if fit else candidates[0]
        for candidate in fit[1:]:
            best = candidate if candidate.faster_than(best) else best
        return best


def words(value: Any) -> str:
    """Return a value of a field in words, as the plan's table has it."""
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)


def _fit(candidates: Sequence[Candidate]) -> list[Candidate]:
    return [candidate for candidate in candidates if not candidate.out]


def _time(candidates: Sequence[Candidate]) -> None:
    """Time those that are left in turns, after a first look that leaves out the hopeless."""
    fit = _fit(candidates)
    if not fit:
        return
    stride = max(candidate.stride for candidate in fit)  # a multiple of all the others
    for candidate in fit:
        candidate.attempt(candidate.time, stride)
        ahead = next((other for other in fit if not other.out), candidate)
        if not candidate.out and candidate.seconds[0] > HOPELESS * ahead.seconds[0]:
            longer = candidate.seconds[0] / ahead.seconds[0] - 1
            candidate.out = f"takes {longer:.0%} longer, at the first look"
    fit = _fit(fit)
    steps = stride * _repeats(fit[0].seconds[0] * stride, MOST_STEPS // stride) if fit else 0
    for candidate in fit:
        candidate.seconds.clear()
    for number in range(ROUNDS):
        for candidate in fit if number % 2 == 0 else reversed(fit):
            if not candidate.out:
                candidate.attempt(candidate.time, steps)


def _repeats(seconds: float, most: int) -> int:
    """Return how many times to repeat what takes so long, to fill a round."""
    return max(1, min(most, round(ROUND_SECONDS / seconds)))
