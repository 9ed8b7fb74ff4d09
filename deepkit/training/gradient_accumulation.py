"""Gradient accumulation: one update of the weights for several batches, with the mean of their gradients."""

from __future__ import annotations

import keras

from deepkit.data import Pipeline
from deepkit.execution.plan import Plan, is_requested
from deepkit.models.autoregressive import AutoregressiveModel
from deepkit.models.keras_schedules import PerUpdateSchedule
from deepkit.training import state
from deepkit.training.training_data import TrainingData
from deepkit.utils.errors import make_error

FIELD = "gradient_accumulation_steps"


def accumulation_steps(optimizer: keras.optimizers.Optimizer | None, plan: Plan | None = None) -> int:
    """Return the number of batches for each update: the number of the plan, else the optimizer's own.

    Args:
        optimizer: The optimizer, or None.
        plan: The plan; None for the optimizer's own number.

    Raises:
        ValueError: The plan requests another number than that of the optimizer.
    """
    requested = 1 if plan is None else plan.gradient_accumulation_steps
    counts = {inner.gradient_accumulation_steps for inner in _inner_optimizers(optimizer)} - {None}
    if not counts:
        return requested
    if plan is None or not is_requested(plan, FIELD):
        return max(counts)
    if counts != {requested}:
        raise make_error(
            ValueError,
            f"{FIELD}={requested} of the plan, but the optimizer {type(optimizer).__name__} was created with "
            f"{FIELD}={max(counts)}",
            hint="set it in one of them: dk.plan(...) or the optimizer",
        )
    return requested


def accumulate(optimizer: keras.optimizers.Optimizer | None, plan: Plan) -> Plan:
    """Let an optimizer accumulate gradients as the plan requests; return the plan with the number that results.

    The optimizer's schedules count updates afterwards. An optimizer that was created with a number of its own stays as
    it is, and a Keras schedule counts its batches.

    Args:
        optimizer: A fresh copy without state, or None for a model without an optimizer.
        plan: The plan.

    Raises:
        ValueError: The optimizer cannot accumulate gradients as a larger batch would.
    """
    steps = accumulation_steps(optimizer, plan)
    if steps == 1:
        return plan
    if optimizer is None:
        problem = f"{FIELD}={steps}: the model has no optimizer, so there are no gradients to accumulate"
        raise make_error(ValueError, problem, hint=f"use {FIELD}='auto'")
    for inner in _inner_optimizers(optimizer):
        if inner.use_ema:
            raise make_error(
                ValueError,
                f"{FIELD}={steps} with use_ema=True: Keras averages the weights after each batch, not after each "
                "update, so the average would differ from that of larger batches",
                hint=f"use use_ema=False, or {FIELD}=1 with a larger batch_size",
            )
        if inner.gradient_accumulation_steps is None:
            inner.gradient_accumulation_steps = steps
            rate = inner._learning_rate  # the public property returns only the current value
            is_schedule = isinstance(rate, keras.optimizers.schedules.LearningRateSchedule)
            if is_schedule and not isinstance(rate, PerUpdateSchedule):
                inner.learning_rate = PerUpdateSchedule(rate, steps)
    if is_requested(plan, FIELD):
        return plan
    return plan.replace(reason="the optimizer was created with it", gradient_accumulation_steps=steps)


def check_model(model: keras.Model, plan: Plan) -> None:
    """Raise if the plan accumulates gradients, and the compiled model has several optimizers.

    Raises:
        ValueError: The model has several optimizers.
    """
    steps = plan.gradient_accumulation_steps
    num_optimizers = len(state.optimizers(model))
    if steps > 1 and num_optimizers > 1:
        raise make_error(
            ValueError,
            f"{FIELD}={steps}: {type(model).__name__} {model.name!r} has {num_optimizers} optimizers, expected 1; "
            "its networks learn from one another after each batch, which accumulated gradients would delay",
            hint=f"use {FIELD}=1 with a larger batch_size",
        )


def check_updates(plan: Plan, steps_per_epoch: int | None, epochs: int) -> None:
    """Raise if a training has fewer batches than one update needs.

    Raises:
        ValueError: The weights would not change.
    """
    steps = plan.gradient_accumulation_steps
    if steps > 1 and steps_per_epoch is not None and steps_per_epoch * epochs < steps:
        raise make_error(
            ValueError,
            f"{FIELD}={steps}: the training has {steps_per_epoch * epochs} batches, fewer than one update needs, so "
            "the weights would not change",
            hint=f"use a smaller {FIELD}, a smaller batch_size, or more epochs",
        )


def describe_updates(plan: Plan, data: TrainingData) -> str:
    """Return the number of examples in an update as a text; empty if each batch is an update."""
    steps = plan.gradient_accumulation_steps
    if steps == 1:
        return ""
    if not isinstance(data.train, Pipeline):
        return f"an update every {steps} batches"
    size = data.train.batch_size
    return f"an update every {steps} batches of {size}: effective batch size {steps * size:,}"


def notes(model: keras.Model, plan: Plan, data: TrainingData) -> tuple[str, ...]:
    """Return why accumulated gradients do not equal those of a larger batch, as messages for the user."""
    steps = plan.gradient_accumulation_steps
    reasons = _differences(model, data, steps) if steps > 1 else []
    if not reasons:
        return ()
    return (f"accumulating {steps} batches does not equal batches {steps} times as large: {'; '.join(reasons)}",)


def _differences(model: keras.Model, data: TrainingData, steps: int) -> list[str]:
    layers = list(model._flatten_layers())
    reasons = []
    if any(isinstance(layer, keras.layers.BatchNormalization) and layer.trainable for layer in layers):
        reasons.append("batch normalization uses the statistics of each batch")
    has_embedding = any(isinstance(layer, keras.layers.Embedding) and layer.trainable for layer in layers)
    if has_embedding and not isinstance(model.optimizer, keras.optimizers.SGD):
        reasons.append(
            "of a row of an Embedding that occurs several times in a batch, Keras's optimizer "
            "squares each gradient, and of accumulated gradients their sum"
        )
    if _has_masked_loss(model):
        reasons.append(
            "the loss is a mean over the unmasked steps of each batch, so that batches with fewer count more"
        )
    if isinstance(data.train, Pipeline) and data.steps_per_epoch is None:
        remainder = data.train.num_examples - (data.train.steps - 1) * data.train.batch_size
        if 0 < remainder < data.train.batch_size:
            reasons.append(f"the last batch of an epoch has {remainder} examples and counts as much as the others")
    if data.steps is not None and data.steps % steps:
        reasons.append(
            f"{steps} does not divide the {data.steps} batches of an epoch, so that an update can use batches of two "
            "epochs, and batches after the last update of the training have no effect"
        )
    return reasons


def _has_masked_loss(model: keras.Model) -> bool:
    if isinstance(model, AutoregressiveModel):
        return True
    outputs = keras.tree.flatten(getattr(model, "output", None))
    return any(getattr(output, "_keras_mask", None) is not None for output in outputs)


def _inner_optimizers(optimizer: keras.optimizers.Optimizer | None) -> list[keras.optimizers.Optimizer]:
    """Return the optimizers that update variables: those inside a LossScaleOptimizer or a MultiOptimizer."""
    if optimizer is None:
        return []
    if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        return _inner_optimizers(optimizer.inner_optimizer)
    if isinstance(optimizer, keras.optimizers.MultiOptimizer):
        return list(optimizer.optimizers)
    return [optimizer]
