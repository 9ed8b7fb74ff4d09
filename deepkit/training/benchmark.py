"""Trials of one field of a plan side by side: their losses are compared, and their steps timed in turns."""

from __future__ import annotations

import functools
import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from deepkit.execution.plan import Plan, format_choice
from deepkit.training.training_data import TrainingData
from deepkit.training.trial import TrialModel, first_batches

if TYPE_CHECKING:
    import keras

    from deepkit.training.compile import Definition
    from deepkit.utils.types import Dataset

Value = bool | int | str | None
"""A value of a field of a plan."""

NUM_ROUNDS = 7
MARGIN = 0.03  # a net that is timed against itself differs by about as much
HOPELESS_RATIO = 2.0  # a trial this much slower than the current choice in the first round is not timed again
ROUND_SECONDS = 0.25  # approximately
MAX_ROUND_STEPS = 256
MIN_CHECKED_STEPS = 4  # over which losses are compared
NUM_REDRAWS = 3  # different random numbers, to estimate how much of a loss is chance
TOLERANCE = 1e-4  # relative: the effect of another order of the same sums on a loss
TOLERANCE_16_BIT = 2e-2  # relative: bfloat16's next number after 1 is 1.008, and a loss is a mean


class Trial:
    """A candidate for one field of a plan, with its model, its loss and its timings.

    Args:
        value: The value of the field.
        plan: The plan with this value.
    """

    def __init__(self, value: Value, plan: Plan) -> None:
        self.value, self.plan = value, plan
        self.model: TrialModel | None = None
        self.loss: float | None = None
        self.seconds: list[float] = []  # per step, by round
        self.rejected_because = ""

    @property
    def eligible(self) -> bool:
        """Whether the trial can be chosen."""
        return not self.rejected_because

    @property
    def milliseconds(self) -> float | None:
        """Duration of a step in the median round, or None if no round was timed."""
        return 1e3 * statistics.median(self.seconds) if self.seconds else None

    @property
    def steps_per_call(self) -> int:
        """Training steps in one call of the compiled function."""
        return self._built_model.plan.steps_per_execution

    def build(self, build_model: Callable[[Plan], TrialModel]) -> None:
        """Build the model, and reject the trial if the model turns XLA off."""
        self.model = self.model or build_model(self.plan)
        if self.plan.jit_compile and not self.model.plan.jit_compile:
            self.rejected_because = f"not measured: {dict(self.model.plan.reasons)['jit_compile']}"

    def check_loss(self, steps: int, reference: Trial) -> None:
        """Run the first steps, and reject the trial if their mean loss differs from that of the reference."""
        self.loss = self._built_model.loss(steps)
        if not math.isfinite(self.loss):
            self.rejected_because = f"rejected: its loss is {self.loss}"
        elif reference is not self:
            expected, tolerance = reference.expected_loss(steps, self.plan)
            if abs(self.loss - expected) > tolerance:
                self.rejected_because = (
                    f"rejected: its loss is {self.loss:.5g}, and {expected:.5g} with {format_choice(reference.value)}"
                )

    def expected_loss(self, steps: int, other: Plan) -> tuple[float, float]:
        """Return the loss expected under another plan, and the tolerance.

        In another precision and under XLA a model draws other random numbers from the same seed. The spread of the
        loss over different random numbers under this plan is added to the tolerance.
        """
        same_draws = (other.precision, other.jit_compile) == (self.plan.precision, self.plan.jit_compile)
        num_redraws = 0 if same_draws or not self._built_model.is_random else NUM_REDRAWS
        losses = [] if self.loss is None else [self.loss]
        for draw in range(1, num_redraws + 1):
            losses.append(self._built_model.loss(steps, draw=draw))
        has_16_bit = "16" in other.precision or "16" in self.plan.precision
        relative = TOLERANCE_16_BIT if has_16_bit else TOLERANCE
        mean = statistics.fmean(losses)
        return mean, relative * abs(mean) + 2 * (max(losses) - min(losses))

    def time(self, steps: int) -> None:
        """Time one round."""
        self.seconds.append(self._built_model.seconds_per_step(steps))

    def attempt(self, method: Callable[..., None], *args: Any) -> None:
        """Call a method, and reject the trial if it raises anything: no candidate ends the run."""
        try:
            method(*args)
        except Exception as error:
            first_line = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
            self.rejected_because = f"failed: {type(error).__name__}: {first_line[:160]}".removesuffix(": ")

    def is_faster_than(self, other: Trial) -> bool:
        """Return whether the trial is at least 3 % faster in the median round, and faster in all rounds but one."""
        ratios = sorted(mine / theirs for mine, theirs in zip(self.seconds, other.seconds, strict=True))
        return statistics.median(ratios) <= 1 - MARGIN and ratios[-2] < 1

    @property
    def _built_model(self) -> TrialModel:
        if self.model is None:
            raise RuntimeError("a trial must be built before it runs")
        return self.model


class Benchmark:
    """Builds the models of trials, and chooses the fastest trial that trains like the reference.

    Args:
        net: The definition.
        data: The data of the run.
        compile_args: The arguments of `fit` for compiling: `optimizer`, `loss`, `loss_weights` and `metrics`.
    """

    def __init__(self, net: Definition | keras.Model, data: TrainingData, compile_args: Mapping[str, Any]) -> None:
        self._net, self._data, self._compile_args = net, data, compile_args

    @functools.cached_property
    def _batches(self) -> Dataset:
        return first_batches(self._data)

    def build_model(self, plan: Plan) -> TrialModel:
        """Build and compile the model under a plan."""
        return TrialModel(self._net, self._data, plan, self._compile_args, self._batches)

    def choose(self, trials: Sequence[Trial], reference: Trial) -> Trial:
        """Return the trial to choose: the first, unless another one is faster.

        Args:
            trials: All trials of one field; the first is the current choice.
            reference: The trial whose loss the others must reproduce.
        """
        steps_per_call = max(trial.plan.steps_per_execution for trial in trials)
        checked_steps = steps_per_call * math.ceil(MIN_CHECKED_STEPS / steps_per_call)
        for trial in [reference, *(other for other in trials if other is not reference)]:
            if not reference.eligible:
                trial.rejected_because = f"not compared: {format_choice(reference.value)} {reference.rejected_because}"
                continue
            trial.attempt(trial.build, self.build_model)
            if trial.eligible:
                trial.attempt(trial.check_loss, checked_steps, reference)
        _time_rounds(trials)
        eligible = _eligible(trials)
        best = eligible[0] if eligible else trials[0]
        for trial in eligible[1:]:
            best = trial if trial.is_faster_than(best) else best
        return best


def _eligible(trials: Sequence[Trial]) -> list[Trial]:
    return [trial for trial in trials if trial.eligible]


def _time_rounds(trials: Sequence[Trial]) -> None:
    """Time the eligible trials in turns, after a first round that rejects the hopeless ones."""
    eligible = _eligible(trials)
    if not eligible:
        return
    steps_per_call = max(trial.steps_per_call for trial in eligible)  # a multiple of all the others
    for trial in eligible:
        trial.attempt(trial.time, steps_per_call)
        current = next((other for other in eligible if other.eligible), trial)
        if trial.eligible and trial.seconds[0] > HOPELESS_RATIO * current.seconds[0]:
            longer = trial.seconds[0] / current.seconds[0] - 1
            trial.rejected_because = f"takes {longer:.0%} longer in the first round"
    eligible = _eligible(eligible)
    steps = 0
    if eligible:
        call_seconds = eligible[0].seconds[0] * steps_per_call
        steps = steps_per_call * _calls_per_round(call_seconds, MAX_ROUND_STEPS // steps_per_call)
    for trial in eligible:
        trial.seconds.clear()
    for number in range(NUM_ROUNDS):
        for trial in eligible if number % 2 == 0 else reversed(eligible):
            if trial.eligible:
                trial.attempt(trial.time, steps)


def _calls_per_round(call_seconds: float, maximum: int) -> int:
    """Return the number of calls that fill a round, at least 1."""
    return max(1, min(maximum, round(ROUND_SECONDS / call_seconds)))
