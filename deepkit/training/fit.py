"""`fit`: from a definition and data to a trained model, kept whole and resumed exactly."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import keras

from deepkit._version import __version__
from deepkit.data.targets import TARGETS
from deepkit.execution.plan import Measurement, Plan, current
from deepkit.execution.plan import plan as make_plan
from deepkit.training import autotune as measure
from deepkit.training import run_report as report
from deepkit.training import state
from deepkit.training.compile import Assembled, assemble
from deepkit.training.errors import CheckpointError
from deepkit.training.loop import restore, train
from deepkit.training.run_dir import RunDir
from deepkit.training.schedules import with_rate
from deepkit.training.state import State
from deepkit.training.training_data import Feed
from deepkit.training.training_data import feed as make_feed
from deepkit.utils import large_files as files
from deepkit.utils.console import echo


@dataclass(frozen=True, eq=False)
class Run:
    """What came of a training.

    Args:
        model: The trained model.
        history: Loss and metrics of every epoch, by name, as Keras names them.
        plan: The plan it was trained under.
        run_dir: The folder with everything of this run, or None.
        report: The report in it.
        resume: `"exact"`, or why going on after a stop is not.
        seconds: Of training and validation, over all calls.
        epochs: Epochs done, over all calls.
        measurements: What was timed to choose the plan, where it was to be measured, also by an earlier call.
    """

    model: keras.Model
    history: dict[str, list[float]]
    plan: Plan
    run_dir: Path | None
    report: Path | None
    resume: str
    seconds: float
    epochs: int
    measurements: tuple[Measurement, ...] = ()

    def __repr__(self) -> str:
        last = ", ".join(f"{name}={values[-1]:.4g}" for name, values in self.history.items() if values)
        return f"<Run {self.model.name}: {self.epochs} epochs in {self.seconds:.1f} s; {last}>"


def fit(
    net: Any,
    data: Any,
    *,
    epochs: int = 1,
    run_dir: str | os.PathLike[str] | None = None,
    plan: Plan | None = None,
    batch_size: int | None = None,
    optimizer: Any = None,
    learning_rate: Any = None,
    loss: Any = None,
    loss_weights: Any = None,
    metrics: Any = None,
    callbacks: Sequence[Any] = (),
    validation_data: Any = None,
    verbose: int | str = "auto",
) -> Run:
    """Train a definition, or a compiled model as it is.

    A definition is built for the shape of the data and compiled under the plan. With a `run_dir` every epoch is
    kept, and the same call goes on where it was stopped, by Ctrl-C or a crash; a finished run goes on when it is
    asked for more epochs. The folder gets the config, the history, the model and a report. Under a plan that is to
    measure, the candidates are timed first, unless the run has begun already.

    Args:
        net: A definition such as `dk.Sequential([...])`, or a compiled `keras.Model`.
        data: A `dk.data` data set, a `tf.data.Dataset`, whose batches may have the weights of examples as
            a third part, or a pair of arrays (x, y).
        epochs: How often to go through the training data, counted from the beginning of the run.
        run_dir: Folder of this run.
        plan: Devices, precision, seed and so on; left out, the plan in force, else `dk.plan()`.
        batch_size: Examples in a batch; left out, that of the data, and 128 for arrays.
        optimizer: A Keras optimiser or its name; Adam if left out. Each fit starts with a fresh one.
        learning_rate: In place of the optimiser's own: a number, a Keras schedule, or a schedule in shares of the
            training such as `dk.OneCycle(0.4)`, for which the steps of all epochs are counted.
        loss: A Keras loss or its name; what the definition's head asks for if left out. A head without an activation
            gives logits, as `dk.Classifier` does, and a cross-entropy of these says `from_logits=True`.
        loss_weights: How much the loss of each output counts, by the name of the output; 1 for those left out.
        metrics: A list of Keras metrics or names; what the head asks for if left out.
        callbacks: Keras callbacks.
        validation_data: Batches or a pair of arrays; left out, the validation part of the data, if it has one.
        verbose: 1 for a progress bar, 2 for a line an epoch, 0 for silence; `"auto"` for a bar on a screen and lines
            in a file.

    Returns:
        The trained model with its history. `data.test` is never looked at.

    Raises:
        TypeError: `net`, `data` or a callback is of no kind that is known.
        ValueError: An argument makes no sense, or contradicts another.
        DefinitionError: The definition does not fit the data.
        RunDirError: The run directory cannot be written, is in use, or holds a run of another config.
        CheckpointError: Its checkpoint is damaged.
        DivergedError: The loss became NaN or infinite.
        TokenIdError: An embedding has no row for a token id in the data.

    Examples:
        >>> import numpy as np
        >>> import deepkit as dk
        >>> x, y = np.random.default_rng(0).random((64, 4)), np.arange(64) % 2
        >>> run = dk.fit(dk.Sequential([dk.MLP([8]), dk.Classifier(2)]), (x, y), epochs=2, verbose=0)
        >>> sorted(run.history), run.epochs
        (['accuracy', 'loss'], 2)
    """
    _check(epochs, plan, callbacks)
    verbose = verbosity() if verbose == "auto" else verbose
    plan = plan or current() or make_plan()
    feed = make_feed(data, validation_data, batch_size, plan).towards(target_of(net))
    if learning_rate is not None:
        optimizer = _with_rate(net, optimizer, learning_rate, feed.steps, epochs)
    folder = None if run_dir is None else RunDir(run_dir)
    compiled = {"optimizer": optimizer, "loss": loss, "metrics": metrics, "loss_weights": loss_weights}
    measured: tuple[Measurement, ...] = ()
    with contextlib.ExitStack() as stack:
        stack.enter_context(plan)
        if plan.measure:
            held = folder and stack.enter_context(folder.held())  # it knows whether the run has begun
            plan, measured = measure.settle(net, feed, plan, compiled, held, verbose)
            stack.enter_context(plan)  # and with it the seed starts anew
        parts = replace(assemble(net, feed, plan, **compiled), measured=measured)
        if verbose:
            _introduce(parts)
        if folder is None:
            last = train(parts.model, feed, epochs, None, callbacks, verbose)
            return _run(parts, last, None, "not kept: no run_dir was given")
        if not folder.is_held:
            stack.enter_context(folder.held())
        return _kept_run(parts, feed, epochs, folder, list(callbacks), verbose)


def _kept_run(
    parts: Assembled, feed: Feed, epochs: int, folder: RunDir, callbacks: list[Any], verbose: int | str
) -> Run:
    """Train in a run directory: begin, go on, or hand back what is finished."""
    folder.settle_config(_config(parts, feed, callbacks))
    parts = replace(parts, measured=measure.load(folder))
    resume = _exactness(parts.plan, feed, callbacks, folder.versions_changed(_versions()))
    result = folder.result()
    if result and (result["stopped"] or epochs <= result["epochs"]):
        return _saved_run(parts, feed, folder, result, resume)
    if resume != "exact" and verbose:
        echo(f"resume is {resume}")
    try:
        last = train(parts.model, feed, epochs, folder, callbacks, verbose)
    except KeyboardInterrupt:
        echo(f"\nstopped; the finished epochs are kept in {folder.path}. The same call goes on from there.")
        raise
    _finish(parts, feed, last, folder, resume)
    if verbose:
        echo(f"report: {folder.report}")
    return _run(parts, last, folder, resume)


def target_of(net: Any) -> str:
    """Return what a definition, or a model of deepkit's, learns to answer."""
    target = getattr(net, "training_target", "labels")
    return target if target in TARGETS else "labels"  # a model's attribute of that name may mean anything


def _with_rate(net: Any, optimizer: Any, rate: Any, steps: int | None, epochs: int) -> Any:
    if isinstance(net, keras.Model):
        raise ValueError(
            "learning_rate: the model came with its optimiser, as a compiled model is used as it is\n"
            "  hint: model.optimizer.learning_rate = ..., or give dk.fit the definition"
        )
    return with_rate(optimizer, rate, steps, epochs)


def _finish(parts: Assembled, feed: Feed, last: State, folder: RunDir, resume: str) -> None:
    """Write what a finished run leaves."""
    with folder.writing("the last checkpoint is whole"):
        with files.aside(folder.model) as path:
            parts.model.save(path)
        result = {
            "epochs": last.epoch,
            "stopped": last.stopped,
            "resume": resume,
            "seconds": round(sum(last.seconds), 3),
            "history": last.history,
        }
        folder.write("result.json", json.dumps(result, indent=1) + "\n")
    _report(parts, feed, last, folder, resume)


def _report(parts: Assembled, feed: Feed, last: State, folder: RunDir, resume: str) -> None:
    with folder.writing("the model is whole, its report is not written"):
        report.write(parts, feed, last, folder, resume)


def _saved_run(parts: Assembled, feed: Feed, folder: RunDir, result: dict[str, Any], resume: str) -> Run:
    """Hand back a finished run, its model as it was saved."""
    last = restore(parts.model, feed, folder)
    try:
        parts.model.load_weights(folder.model)
    except (OSError, ValueError, KeyError) as error:
        raise CheckpointError(
            f"{folder.model} cannot be read: {error}\n  hint: moving it away: it is made again from the checkpoint"
        ) from error
    why = "a callback ended it there" if result["stopped"] else "ask for more to go on"
    echo(f"{folder.path} holds a finished run of {result['epochs']} epochs, which is returned as it is; {why}")
    last = State(result["epochs"], last.variables, result["history"], last.seconds[: result["epochs"]])
    if not folder.report.exists():
        _report(parts, feed, last, folder, resume)
    return _run(parts, last, folder, resume)


def _run(parts: Assembled, last: State, folder: RunDir | None, resume: str) -> Run:
    report = folder.report if folder is not None and folder.report.exists() else None
    path = None if folder is None else folder.path
    seconds = sum(last.seconds)
    return Run(parts.model, last.history, parts.plan, path, report, resume, seconds, last.epoch, parts.measured)


def _config(parts: Assembled, feed: Feed, callbacks: list[Any]) -> dict[str, Any]:
    """Return what a run is, in plain values: two calls with the same config are the same run."""
    plan = {name: value for name, value in parts.plan.choices().items() if name != "measure"}
    return {
        "definition": parts.definition,
        "optimizer": _optimizer(parts, callbacks),
        "loss": parts.loss,
        "metrics": list(parts.metrics),
        "data": {"origin": feed.origin, "fingerprint": feed.fingerprint},
        "plan": plan | {"devices": list(parts.plan.devices)},
        "callbacks": [type(callback).__name__ for callback in callbacks],
        "versions": _versions(),
    }


def _optimizer(parts: Assembled, callbacks: list[Any]) -> str:
    """Return the optimiser as code; without the rate of one that is used again after a callback has moved it."""
    movers = (keras.callbacks.ReduceLROnPlateau, keras.callbacks.LearningRateScheduler)
    if parts.taken and any(isinstance(callback, movers) for callback in callbacks):
        return re.sub(r"learning_rate=[^,()]+(, )?", "", parts.optimizer)
    return parts.optimizer


def _versions() -> dict[str, str]:
    return {
        "python": platform.python_version(),
        "tensorflow": version("tensorflow"),
        "keras": keras.version(),
        "deepkit": __version__,
    }


def _exactness(plan: Plan, feed: Feed, callbacks: list[Any], changed: str | None) -> str:
    """Return "exact", or why going on would not give the same bits."""
    reasons = []
    if len(plan.devices) > 1:
        reasons.append("sums across devices have no fixed order")
    elif not plan.deterministic:
        reasons.append("the plan is not deterministic")
    if feed.inexact:
        reasons.append(feed.inexact)
    if feed.steps and feed.steps % plan.steps_per_execution:
        reasons.append(f"steps_per_execution={plan.steps_per_execution} does not divide the {feed.steps} steps")
    unknown = state.unknown(callbacks)
    if unknown:
        reasons.append(f"a state that {', '.join(unknown)} may have is not kept")
    if changed:
        reasons.append(f"versions changed since the run began ({changed})")
    return f"approximate because {'; '.join(reasons)}" if reasons else "exact"


def _introduce(parts: Assembled) -> None:
    model, plan = parts.model, parts.plan
    size = f"{model.count_params():,} parameters" if model.built else "not built yet"
    metrics = ", ".join(parts.metrics) or "none"
    echo(f"{model.name}: {size}; on {', '.join(plan.devices)} in {plan.precision}, seed {plan.seed}")
    echo(f"optimizer {parts.optimizer}; loss {parts.loss}; metrics {metrics}")


def verbosity() -> int:
    """Return what `verbose="auto"` stands for: 1, a bar on a screen, or 2, lines in a file."""
    return 1 if sys.stdout.isatty() or "ipykernel" in sys.modules else 2


def _check(epochs: Any, plan: Any, callbacks: Any) -> None:
    if not isinstance(epochs, int) or isinstance(epochs, bool) or epochs < 1:
        raise ValueError(f"epochs={epochs!r}: expected a whole number from 1\n  hint: epochs=10")
    if plan is not None and not isinstance(plan, Plan):
        raise TypeError(f"plan: expected a Plan, received {type(plan).__name__}\n  hint: plan=dk.plan(...)")
    if not isinstance(callbacks, list | tuple):
        raise TypeError(f"callbacks: expected a list, received {type(callbacks).__name__}\n  hint: callbacks=[...]")
    for callback in callbacks:
        if not isinstance(callback, keras.callbacks.Callback):
            raise TypeError(
                f"callbacks: expected Keras callbacks, received {type(callback).__name__}\n"
                "  hint: an instance of keras.callbacks.Callback"
            )
