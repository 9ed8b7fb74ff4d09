"""`fit`: train a definition or a compiled model, with checkpoints, exact resume and a report."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import keras

from deepkit.agents.agent import Agent
from deepkit.data.source_errors import original_errors
from deepkit.execution.plan import Plan, current
from deepkit.execution.plan import plan as make_plan
from deepkit.models.agent import AgentModel
from deepkit.training import callback_checks, gradient_accumulation, workers
from deepkit.training.compile import compile_definition
from deepkit.training.compiled_model import CompiledModel
from deepkit.training.fit_arguments import DataArguments
from deepkit.training.precision_hint import precision_hint
from deepkit.training.precompiled import plan_for
from deepkit.training.run_dir import RunDir
from deepkit.training.schedules import with_learning_rate
from deepkit.training.text_labels import encode_text_labels
from deepkit.training.trained_run import Run
from deepkit.training.training_data import TrainingData
from deepkit.training.training_run import Training
from deepkit.training.user_data import training_data_for
from deepkit.training.weigh_classes import weigh_classes
from deepkit.utils.cluster import find_cluster
from deepkit.utils.console import echo
from deepkit.utils.errors import format_value, make_error
from deepkit.utils.tracing import without_retracing_warnings
from deepkit.utils.validation import check_choice, check_integer, is_flag, is_number

if TYPE_CHECKING:
    from deepkit.training.class_weights import ClassWeight
    from deepkit.training.compile import Definition, Losses, LossWeights, Metrics
    from deepkit.training.fit_arguments import ArraysLike, DataLike, ValidationLike
    from deepkit.training.schedules import LearningRate
    from deepkit.utils.types import OptimizerLike, PathLike


@without_retracing_warnings()
@original_errors()
def fit(
    net: Definition | keras.Model,
    x: DataLike,
    y: ArraysLike | None = None,
    *,
    sample_weight: ArraysLike | None = None,
    class_weight: ClassWeight | None = None,
    epochs: int = 1,
    run_dir: PathLike | None = None,
    plan: Plan | None = None,
    batch_size: int | None = None,
    optimizer: OptimizerLike | None = None,
    learning_rate: LearningRate | None = None,
    loss: Losses | None = None,
    loss_weights: LossWeights | None = None,
    metrics: Metrics | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    validation_split: float = 0.0,
    validation_data: ValidationLike | None = None,
    shuffle: bool = True,
    initial_epoch: int = 0,
    steps_per_epoch: int | None = None,
    validation_steps: int | None = None,
    verbose: int | str = "auto",
) -> Run:
    """Train a definition, or a model that is already compiled.

    A definition is built for the shape of the data and compiled under the plan. Its preprocessing layers, such as
    `Normalization` or `StringLookup`, are adapted to the training data first, unless you have adapted them. With a
    `run_dir`, `fit` writes a checkpoint after every epoch, and the same call resumes a run that was stopped by Ctrl-C
    or a crash. A finished run continues if `epochs` is larger than before. The directory receives the config, the
    history, the model and a report. A run keeps the plan it began with.

    Args:
        net: A definition such as `dk.Sequential([...])`, or a compiled `keras.Model`.
        x: An array or a DataFrame of inputs; for several inputs a list in their order, or a mapping by name; a tuple
            (x, y) or (x, y, sample_weight); a `dk.data` dataset; or batches (x, y) or (x, y, sample_weight) from a
            `tf.data.Dataset`, a `keras.utils.PyDataset`, a PyTorch `DataLoader`, a generator, or a function that
            returns one. Arrays of uint8 images `(batch, rows, columns, channels)` with 1, 3 or 4 channels and values
            above 1 are rescaled to [0, 1] by a layer of the model, unless it is compiled or preprocesses its input
            itself.
        y: Labels of the arrays x; for several outputs a list in their order, or a mapping by name. None for a model
            that is trained on its inputs alone, such as an autoencoder or a language model.
        sample_weight: Weight of each example in the training loss, `(batch,)`, or of each position of its labels,
            `(batch, time)`; a mapping by name of the output for several outputs, 1 for the others. As in Keras, the
            weights apply to the loss, not to the metrics.
        class_weight: Weight of each class in the training loss, by class index or class name; 1 for the others. Or
            "balanced" for weights inversely proportional to the number of labels of each class, as in scikit-learn.
            They multiply the sample weights.
        epochs: Number of epochs, counted from the beginning of the run.
        run_dir: Directory of the run.
        plan: Devices, precision, seed and so on. By default the current plan, else the plan that the run in
            `run_dir` began with, else `dk.plan()`.
        batch_size: Examples per batch. By default that of the data, and 32 for arrays as in Keras. A plan with
            `gradient_accumulation_steps` updates the weights once for that many batches.
        optimizer: A Keras optimizer or its name, Adam by default. Each call starts with a fresh copy.
        learning_rate: Replaces the optimizer's own: a number, a Keras schedule, or a schedule relative to the whole
            training such as `dk.OneCycle(0.4)`, which counts the steps of all epochs.
        loss: A Keras loss or its name. By default the loss of the definition's head. A head without an activation
            returns logits, as `dk.Classifier` does, and a cross-entropy of logits needs `from_logits=True`.
        loss_weights: Weight of each output's loss, by the name of the output; 1 for the others.
        metrics: A list of Keras metrics or names; by output name for several outputs. By default the metrics of the
            definition's head. They follow the head: for logits, thresholds are at 0 and cross-entropies have
            `from_logits=True`; `fit` prints each change. A metric that does not fit the head raises an error.
        callbacks: Keras callbacks.
        validation_split: Fraction of the arrays to use as validation data, taken from their end before shuffling.
        validation_data: Batches, or arrays (x, y) or (x, y, sample_weight). By default the validation split of the
            data, if it has one.
        shuffle: Whether to shuffle arrays before each epoch. A dataset has its own order.
        initial_epoch: Only 0: the same call with a `run_dir` resumes a run.
        steps_per_epoch: Number of batches in an epoch; the next epoch continues after them, and the data is repeated.
            By default all batches of the data. Needed for an infinite dataset or generator.
        validation_steps: Number of validation batches after each epoch, the first ones; by default all.
        verbose: 1 for a progress bar, 2 for one line per epoch, 0 for silence; `"auto"` for a bar on a terminal and
            lines in a file.

    Returns:
        The trained model with its history. `fit` never reads `data.test`.

    Raises:
        TypeError: `net`, `x` or a callback has an unsupported type.
        ValueError: An argument is invalid or contradicts another, or the data has no batch.
        DefinitionError: The definition does not fit the data.
        RunDirError: The run directory is not writable, is in use, or holds a run with another config, files of another
            program, or a file of the run that is damaged, missing or of another run; or the disk is full.
        CheckpointError: The checkpoint cannot be read, is damaged, missing, or of another run.
        DivergedError: The loss became NaN or infinite.
        TokenIdError: The data contains a token id outside the range of an embedding.
        LabelError: The labels do not fit the head of the definition, or the loss.

    Examples:
        >>> import numpy as np
        >>> import deepkit as dk
        >>> x, y = np.random.default_rng(0).random((64, 4)), np.arange(64) % 2
        >>> run = dk.fit(
        ...     dk.Sequential([dk.MLP([8]), dk.Classifier(2)]),
        ...     x,
        ...     y,
        ...     epochs=2,
        ...     verbose=0,
        ... )
        >>> sorted(run.history), run.epochs
        (['accuracy', 'loss'], 2)
    """
    _check_is_no_agent(net)
    epochs = _check_arguments(epochs, initial_epoch, plan, callbacks)
    verbose = resolve_verbose(verbose)
    plan = plan or _plan_of_workers()
    directory = None if run_dir is None else workers.run_dir_for(plan or current(), run_dir)
    if directory is not None:
        directory.check_files()
        callback_checks.check_run_dir(directory, callbacks)
    plan = _choose_plan(net, plan, directory)
    verbose = verbose if plan.is_chief else 0
    arguments = DataArguments(
        x,
        y,
        sample_weight,
        batch_size,
        validation_data,
        validation_split,
        shuffle,
        steps_per_epoch,
        validation_steps,
    )
    training_data = training_data_for(net, arguments, plan)
    training_data = encode_text_labels(net, training_data, loss, verbose)
    if learning_rate is not None:
        optimizer = _with_learning_rate(net, optimizer, learning_rate, training_data.steps, epochs, plan)
    if directory is not None:
        training_data.fitted_states.update(directory.fitted_states())
    with plan:
        compiled = compile_definition(net, training_data, plan, optimizer, loss, metrics, loss_weights)
        gradient_accumulation.check_updates(compiled.plan, training_data.steps, epochs)
        callback_checks.check_learning_rate(compiled.model, callbacks)
        training_data = weigh_classes(compiled.model, training_data, class_weight, verbose)
        if verbose:
            _print_summary(compiled, training_data)
        with workers.worker_errors(plan.cluster):
            training = Training(net, compiled, training_data, plan, epochs, callbacks, verbose)
            run = training.run_in_memory() if directory is None else training.run_in_directory(directory)
    if plan.cluster is None or isinstance(net, keras.Model):
        return run
    with plan.on_one_worker() as single:
        local = compile_definition(net, training_data, single, optimizer, loss, metrics, loss_weights)
        return dataclasses.replace(run, model=workers.copy_state(run.model, local.model, training_data))


def _check_is_no_agent(net: object) -> None:
    if isinstance(net, Agent | AgentModel):
        raise make_error(
            TypeError,
            f"net: {type(net).__name__} learns from an environment, not from data",
            hint="use dk.learn(agent, env, num_steps=...)",
        )


def _check_arguments(epochs: object, initial_epoch: object, plan: object, callbacks: object) -> int:
    if not is_number(initial_epoch) or initial_epoch != 0:
        raise make_error(
            ValueError,
            f"initial_epoch: epochs count from the beginning of the run, received {format_value(initial_epoch)}",
            hint="pass run_dir=: the same call resumes a run, and epochs is the total number",
        )
    if plan is not None and not isinstance(plan, Plan):
        raise make_error(
            TypeError, f"plan: expected a Plan, received {type(plan).__name__}", hint="pass plan=dk.plan(...)"
        )
    callback_checks.check_types(callbacks)
    return check_integer(epochs, "epochs", hint="pass epochs=10")


def resolve_verbose(verbose: int | str) -> int | str:
    """Return `verbose` with `"auto"` replaced: 1, a progress bar, on a terminal; 2, one line per epoch, in a file.

    Raises:
        ValueError: `verbose` is not one of "auto", 0, 1 and 2.
    """
    choices: tuple[int | str, ...] = ("auto", 0, 1, 2)
    value = int(verbose) if is_flag(verbose) else verbose
    verbose = check_choice(value, "verbose", choices, hint="use verbose=2 for one line per epoch")
    if verbose != "auto":
        return verbose
    return 1 if sys.stdout.isatty() or "ipykernel" in sys.modules else 2


def _plan_of_workers() -> Plan | None:
    """Return a new plan if this process is one of several workers, and no plan is current; else None."""
    return make_plan() if current() is None and find_cluster("auto") is not None else None


def _choose_plan(net: Definition | keras.Model, plan: Plan | None, directory: RunDir | None) -> Plan:
    """Return the plan that was passed, else the current plan, else the plan that the run began with, else a new one.

    A stored plan that equals the requested one replaces it, because it carries measurements and reasons.
    """
    requested = plan or current()
    stored = None
    if directory is not None:
        stored = directory.available_plan() if requested is None else directory.plan()
    chosen = requested or stored or make_plan()
    if stored is not None and stored == requested:
        chosen = dataclasses.replace(stored, cluster=requested.cluster)
    return plan_for(net, chosen, is_default=requested is None)


def _with_learning_rate(
    net: Definition | keras.Model,
    optimizer: OptimizerLike | None,
    learning_rate: LearningRate,
    steps: int | None,
    epochs: int,
    plan: Plan,
) -> keras.optimizers.Optimizer:
    if isinstance(net, keras.Model):
        raise make_error(
            ValueError,
            "learning_rate: a compiled model is trained with its own optimizer",
            hint="set model.optimizer.learning_rate, or pass the definition to dk.fit",
        )
    template: keras.optimizers.Optimizer = keras.optimizers.get("adam" if optimizer is None else optimizer)
    accumulation_steps = gradient_accumulation.accumulation_steps(template, plan)
    return with_learning_rate(template, learning_rate, steps, epochs, accumulation_steps)


def _print_summary(compiled: CompiledModel, data: TrainingData) -> None:
    model, plan = compiled.model, compiled.plan
    size = f"{model.count_params():,} parameters" if model.built else "not built yet"
    loss, metrics = compiled.loss, ", ".join(compiled.metrics) or "none"
    if model.loss is None:  # the model computes its loss and its metrics itself
        loss = f"that of {type(model).__name__}"
        own_metrics = [metric.name for metric in model.metrics if metric.name not in ("loss", "compile_metrics")]
        metrics = ", ".join([*own_metrics, *compiled.metrics]) or "none"
    updates = gradient_accumulation.describe_updates(plan, data)
    echo(
        f"{model.name}: {size}; on {', '.join(plan.devices)} in {plan.precision}, seed {plan.seed}"
        f"{f'; {updates}' if updates else ''}"
    )
    echo(f"optimizer {compiled.optimizer}; loss {loss}; metrics {metrics}")
    for note in (*data.notes, *compiled.notes):
        echo(note)
    hint = precision_hint(model, plan)
    if hint:
        echo(hint)
