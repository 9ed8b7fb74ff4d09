"""`autotune`: time the candidates for the fields of a plan that are left "auto", and choose the fastest.

The candidates are timed on the user's model and data. The search is greedy, field by field, so that few programs are
compiled: precision, then XLA, then steps per execution, each with the earlier choices. During the first two searches,
the steps per execution are 1.
"""

from __future__ import annotations

import gc
import random
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import keras

from deepkit.data.source_errors import original_errors
from deepkit.execution import choices
from deepkit.execution.measurement import Measurement, format_milliseconds
from deepkit.execution.plan import Plan, format_choice, resolve_plan
from deepkit.training.benchmark import MARGIN, Benchmark, Trial, Value
from deepkit.training.describe import fresh_copy
from deepkit.training.fit import resolve_verbose
from deepkit.training.fit_arguments import DataArguments
from deepkit.training.run_dir import stored_plan
from deepkit.training.schedules import with_learning_rate
from deepkit.training.text_labels import encode_text_labels
from deepkit.training.user_data import training_data_for
from deepkit.utils.console import echo
from deepkit.utils.errors import make_error
from deepkit.utils.tracing import without_retracing_warnings

if TYPE_CHECKING:
    from deepkit.training.compile import Definition, Losses, LossWeights, Metrics
    from deepkit.training.fit_arguments import ArraysLike, DataLike
    from deepkit.training.schedules import LearningRate
    from deepkit.utils.types import OptimizerLike, PathLike

_PRECISIONS = {"CPU": ("float32", "mixed_bfloat16"), "GPU": ("float32", "mixed_bfloat16", "mixed_float16")}
_MAX_STEPS_FACTOR = 4  # the largest candidate for steps per execution, as a multiple of the default
_SLOW_STEP = 200.0  # milliseconds a step, above which the time between two steps is negligible


@without_retracing_warnings()
@original_errors()
def autotune(
    net: Definition | keras.Model,
    x: DataLike,
    y: ArraysLike | None = None,
    *,
    sample_weight: ArraysLike | None = None,
    validation_split: float = 0.0,
    steps_per_epoch: int | None = None,
    plan: Plan | None = None,
    loss: Losses | None = None,
    optimizer: OptimizerLike | None = None,
    learning_rate: LearningRate | None = None,
    metrics: Metrics | None = None,
    loss_weights: LossWeights | None = None,
    batch_size: int | None = None,
    run_dir: PathLike | None = None,
    verbose: int = 1,
) -> Plan:
    """Time precision, XLA and steps per execution on a definition and data, and return the fastest plan.

    Only the fields that were left `"auto"` in `dk.plan` are timed. The model is built under each candidate and takes a
    few steps on the first batches, always from the same weights. A candidate is rejected if its loss differs from
    that of float32, or if it fails. It replaces the choice of the plan only if it is faster by more than noise. The
    definition, the data and the random state are left as they were.

    Pass the same arguments to `dk.fit` afterwards, with the plan that is returned.

    Args:
        net: A definition such as `dk.Sequential([...])`. For a compiled `keras.Model` nothing is measured: it is
            trained with its own settings.
        x: Inputs, arrays (x, y) or (x, y, sample_weight), or a dataset, as for `dk.fit`.
        y: Labels of the arrays x.
        sample_weight: Weights of the arrays x.
        validation_split: Fraction of the arrays, from their end, that is not used.
        steps_per_epoch: Number of batches in an epoch, for an infinite dataset or generator.
        plan: The plan whose `"auto"` fields are timed. By default the current plan, else `dk.plan()`.
        loss: A Keras loss or its name. By default the loss of the definition's head.
        optimizer: A Keras optimizer or its name, Adam by default. It must be copyable: trials use fresh copies.
        learning_rate: A number, a Keras schedule, or a value such as `dk.OneCycle(0.4)`, which is built for one epoch.
        metrics: A list of Keras metrics or names. By default the metrics of the definition's head.
        loss_weights: Weight of each output's loss, by the name of the output.
        batch_size: Examples per batch. By default that of the data, and 32 for arrays as in Keras.
        run_dir: Directory of a run. If the run has already started, its choices are returned instead of measuring:
            another measurement might choose others, and that would be another run.
        verbose: 1 to print each measurement, 0 for silence.

    Returns:
        The plan with the chosen fields, the reason for each of them, and the `measurements`.

    Raises:
        TypeError: `net` or `x` has an unsupported type.
        ValueError: The definition cannot be compiled with these arguments, under any candidate, or the data has no
            batch.
        DefinitionError: The definition does not fit the data.
        TokenIdError: The data contains a token id outside the range of an embedding.
        LabelError: The labels do not fit the head of the definition, or the loss.
        RunDirError: The config in the run directory is damaged, or it holds files of another program.

    Examples:
        >>> import numpy as np
        >>> import deepkit as dk
        >>> x, y = np.random.default_rng(0).random((64, 4)), np.arange(64) % 2
        >>> net = dk.Sequential([dk.MLP([8]), dk.Classifier(2)])
        >>> plan = dk.autotune(
        ...     net,
        ...     x,
        ...     y,
        ...     plan=dk.plan(precision="float32", seed=7),
        ...     batch_size=16,
        ...     verbose=0,
        ... )
        >>> sorted({measurement.field for measurement in plan.measurements})
        ['jit_compile', 'steps_per_execution']
        >>> run = dk.fit(net, x, y, plan=plan, batch_size=16, verbose=0)
    """
    plan = resolve_plan(plan)
    if plan.num_workers > 1:
        problem = f"autotune: {plan.num_workers} workers would time their own steps, and could choose different plans"
        raise make_error(ValueError, problem, hint="call dk.autotune with dk.plan(workers=None), and pass its choices")
    verbose = int(resolve_verbose(verbose))
    if not plan.auto_fields:
        if verbose:
            echo("nothing to time: no field of the plan is left 'auto'")
        return plan
    stored = None if run_dir is None else stored_plan(run_dir)
    if stored is not None:
        return _with_stored_choices(plan, stored)
    reason = _reason_not_to_measure(net, optimizer)
    if reason:
        rows = tuple(Measurement(name, "", verdict=f"not measured: {reason}") for name in plan.auto_fields)
        if verbose:
            for row in rows:
                echo(f"  {row}")
        return plan.replace(measurements=rows)
    arguments = DataArguments(
        x, y, sample_weight, batch_size, validation_split=validation_split, steps_per_epoch=steps_per_epoch
    )
    training_data = training_data_for(net, arguments, plan)
    training_data = encode_text_labels(net, training_data, loss, verbose=0)
    if learning_rate is not None:
        optimizer = with_learning_rate(optimizer, learning_rate, training_data.steps, epochs=1)
    compile_args = {"optimizer": optimizer, "loss": loss, "metrics": metrics, "loss_weights": loss_weights}
    with plan:
        return _Search(plan, Benchmark(net, training_data, compile_args), training_data.steps, verbose).run()


def _with_stored_choices(plan: Plan, stored: Plan) -> Plan:
    """Return the plan with its open fields set to the choices of a run that has started."""
    reason = "as in the run that has started, which was not measured"
    if stored.measurements:
        reason = "as measured before the run started"
    values = {name: getattr(stored, name) for name in plan.auto_fields}
    return plan.replace(reason=reason, **values).replace(auto_fields=(), measurements=stored.measurements)


def _reason_not_to_measure(net: object, optimizer: object) -> str:
    """Return why no field can be measured; empty if measuring is possible."""
    if isinstance(net, keras.Model):
        return "the model is already compiled"
    if isinstance(optimizer, keras.optimizers.Optimizer) and fresh_copy(optimizer) is optimizer:
        name = type(optimizer).__name__
        return f"{name} cannot be copied from its config, and the trials would change the optimizer"
    return ""


class _Search:
    """The search through the open fields of a plan, which are those left "auto".

    Args:
        plan: The plan.
        benchmark: Compares the trials.
        steps_per_epoch: Number of steps in an epoch, or None if it is unknown.
        verbose: 0 for silence.
    """

    def __init__(self, plan: Plan, benchmark: Benchmark, steps_per_epoch: int | None, verbose: int) -> None:
        self._rows: list[Measurement] = []
        self._requested, self._benchmark = plan, benchmark
        self._steps_per_epoch, self._verbose = steps_per_epoch, verbose
        seed = random.randrange(2**32) if plan.seed is None else plan.seed
        self._best = Trial(None, plan.replace(seed=seed))

    def run(self) -> Plan:
        """Measure the open fields, and return the plan with the choices."""
        names = [name for name in self._requested.auto_fields if self._can_vary(name)]
        plan = self._measure(names) if names else self._requested
        return plan.replace(auto_fields=(), measurements=tuple(self._rows))

    def _measure(self, names: Sequence[str]) -> Plan:
        if self._verbose:
            echo(f"timing {', '.join(names)}; this can take a minute or two")
        if "steps_per_execution" in names:
            self._best.plan = self._best.plan.replace(steps_per_execution=1)
        plan = self._requested
        try:
            # built outside of any attempt, so that invalid arguments raise an error
            self._best.model = self._benchmark.build_model(self._best.plan)
            self._best.plan = self._best.model.plan
            for name in names:
                plan = self._choose_field(name, plan)
        finally:
            self._best.model = None
            gc.collect()
        return plan

    def _can_vary(self, name: str) -> bool:
        reason = choices.only_choice_reason(name, self._requested.devices, self._requested.deterministic)
        if reason:
            self._record(Measurement(name, "", verdict=f"not measured: {reason}"))
        return not reason

    def _choose_field(self, name: str, plan: Plan) -> Plan:
        """Measure one field, and return the plan with its choice."""
        values, reason = self._candidates(name)
        if reason:
            self._record(Measurement(name, "", verdict=f"not measured: {reason}"))
            return plan
        trials = [self._make_trial(name, value) for value in values]
        reference_value = {"precision": "float32", "steps_per_execution": 1}.get(name, values[0])
        reference = next(trial for trial in trials if trial.value == reference_value)
        best = self._benchmark.choose(trials, reference)
        for trial in trials:
            self._record(_measurement(name, trial, best, is_first=best is trials[0]))
            if trial is not best:
                trial.model = None
        self._best = best
        gc.collect()  # models contain reference cycles: collect now to free GPU memory
        return plan.replace(reason=_reason(best, trials), **{name: best.value})

    def _make_trial(self, name: str, value: Value) -> Trial:
        """Return the trial of a value; it takes over the model of the best trial if the plans are equal."""
        change: dict[str, Any] = {name: value}
        trial = Trial(value, self._best.plan.replace(**change))
        if trial.plan == self._best.plan:
            trial.model, self._best.model = self._best.model, None
        return trial

    def _candidates(self, name: str) -> tuple[Sequence[Value], str]:
        """Return the values to compare, the current choice first, and the reason if they are not compared."""
        plan = self._requested
        if name == "precision":
            candidates = _PRECISIONS[plan.devices[0][:3]]
            return list(dict.fromkeys([plan.precision, *candidates])), ""
        if name == "jit_compile":
            model_refuses_xla = plan.jit_compile and not self._best.plan.jit_compile
            reason = dict(self._best.plan.reasons)[name] if model_refuses_xla else ""
            return [plan.jit_compile, not plan.jit_compile], reason
        milliseconds = self._best.milliseconds
        if milliseconds is not None and milliseconds > _SLOW_STEP:
            duration = format_milliseconds(milliseconds)
            return [], f"at {duration} ms a step, the return to Python between steps is negligible"
        counts = self._step_counts()
        return counts, "" if len(counts) > 1 else "an epoch has only one step"

    def _step_counts(self) -> list[int]:
        default = self._requested.steps_per_execution
        if self._steps_per_epoch == 1:
            return [default]
        has_larger = self._steps_per_epoch is not None and self._steps_per_epoch > default
        larger = [_MAX_STEPS_FACTOR * default] if has_larger else []
        return list(dict.fromkeys([default, 1, *larger]))

    def _record(self, row: Measurement) -> None:
        self._rows.append(row)
        if self._verbose:
            echo(f"  {row}")


def _measurement(name: str, trial: Trial, best: Trial, *, is_first: bool) -> Measurement:
    seconds = trial.seconds
    spread = (1e3 * min(seconds), 1e3 * max(seconds)) if len(seconds) > 1 else None
    verdict = _verdict(trial, best, is_first)
    return Measurement(name, format_choice(trial.value), trial.milliseconds, spread, trial.loss, verdict)


def _verdict(trial: Trial, best: Trial, best_is_first: bool) -> str:
    """Return the verdict on a trial; the first trial of a field is the choice of the plan."""
    if not trial.eligible:
        suffix = "; kept, as no other candidate is eligible" if trial is best else ""
        return trial.rejected_because + suffix
    if trial is best:
        return "kept" if best_is_first else "chosen"
    difference = 0.0
    if trial.milliseconds and best.milliseconds:
        difference = trial.milliseconds / best.milliseconds - 1
    if difference > MARGIN:
        return f"takes {difference:.0%} longer"
    if difference < -MARGIN:
        return f"takes {-difference:.0%} less, but not in every round"
    return f"differs by at most {MARGIN:.0%}, which is noise"


def _reason(best: Trial, trials: Sequence[Trial]) -> str:
    """Return the reason for the choice, with the durations of all trials."""
    if best.milliseconds is None or not best.eligible:
        return f"could not be measured: {best.rejected_because}"
    others = [_summarize(trial) for trial in trials if trial is not best]
    return ", ".join([f"measured: {format_milliseconds(best.milliseconds)} ms a step", *others])


def _summarize(trial: Trial) -> str:
    result = trial.rejected_because.partition(":")[0]
    if trial.milliseconds is not None:
        result = f"{format_milliseconds(trial.milliseconds)} ms"
    return f"{format_choice(trial.value)} {result}"
