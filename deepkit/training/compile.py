"""Build and compile a definition under a plan, or validate a model that is already compiled."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import keras
import tensorflow as tf

from deepkit.definition.objective import check_objective
from deepkit.definition.outputs import check_loss
from deepkit.execution import strategy
from deepkit.execution.plan import Plan, is_requested
from deepkit.models.autoregressive import AutoregressiveModel
from deepkit.models.checked_data import CheckedData
from deepkit.models.hopfield import HopfieldNetwork
from deepkit.models.perceptron import PerceptronModel
from deepkit.training import adaptation, augmentation_check, gradient_accumulation, graph_loop, label_check, state
from deepkit.training.compiled_model import CompiledModel
from deepkit.training.describe import describe, describe_all, fresh_copy
from deepkit.training.head_metrics import adapt_metrics
from deepkit.training.input_checks import check_inputs
from deepkit.training.loss_names import resolve_losses
from deepkit.training.optimizer_patterns import check_patterns
from deepkit.training.output_heads import output_heads
from deepkit.training.precompiled import architecture_text, check_precompiled
from deepkit.training.prediction_settings import PredictionSettings
from deepkit.training.replica_seeds import with_noise_reason
from deepkit.training.table_columns import with_columns
from deepkit.training.target_scale import target_scale_notes
from deepkit.training.training_data import TrainingData
from deepkit.training.user_data import training_target
from deepkit.utils.errors import format_value, make_error, message
from deepkit.utils.validation import is_number

if TYPE_CHECKING:
    from deepkit.definition.block import Block as Definition
    from deepkit.definition.objective import Objective
    from deepkit.utils.types import LossLike, MetricLike, OptimizerLike

    Losses: TypeAlias = LossLike | Sequence[LossLike] | Mapping[str, LossLike]
    Metrics: TypeAlias = MetricLike | Sequence[MetricLike] | Mapping[str, MetricLike | Sequence[MetricLike]]
    LossWeights: TypeAlias = Mapping[str, float]


def compile_definition(
    net: Definition | keras.Model,
    data: TrainingData,
    plan: Plan,
    optimizer: OptimizerLike | None,
    loss: Losses | None,
    metrics: Metrics | None,
    loss_weights: LossWeights | None = None,
) -> CompiledModel:
    """Build and compile a definition under a plan, or validate a model that is already compiled.

    The caller has entered the plan.

    Raises:
        TypeError: `net` is neither a definition nor a model.
        ValueError: It cannot be trained with these arguments.
    """
    if isinstance(net, keras.Model):
        arguments = {"optimizer": optimizer, "loss": loss, "metrics": metrics, "loss_weights": loss_weights}
        compiled = check_precompiled(net, plan, arguments)
        messages = _adapt(net, data)  # first: bin boundaries become part of the architecture
        augmentation_check.check(net, data)
        state.build_variables(net, data.sample_input)  # Keras would build it at the first step
        prediction = _prediction_settings(net, net, data, net.loss, None)
        final_plan, noise_notes = with_noise_reason(compiled.plan, net)
        return dataclasses.replace(
            compiled,
            plan=final_plan,
            definition=architecture_text(net),
            notes=(*compiled.notes, *messages, *noise_notes),
            prediction=prediction,
        )
    _check_definition(net)
    net = with_columns(net, data)
    adapter = adaptation.Adapter(data.adaptation_batches, data.fitted_states)
    model = _build(net, data, adapter)
    if len(plan.replicas) > 1:
        strategy.synchronize_batch_norm(model)
    messages = [*adapter.messages.values(), *_adapt(model, data)]
    _check_sigmoid_targets(net, model, data)
    augmentation_check.check(model, data)
    requested_plan, plan = plan, _adapt_plan(plan, model, data)
    fresh_optimizer = _choose_optimizer(model, optimizer, plan)
    plan = gradient_accumulation.accumulate(fresh_optimizer, plan)
    label_check.require_labels(net, model, data, loss)
    objective = _head_objective(net, model, data, loss)
    chosen_loss = _choose_loss(net, model, loss, objective)
    label_checks = label_check.check_labels(net, model, data, None if loss is None else chosen_loss, objective)
    chosen_metrics, metric_notes = _choose_metrics(metrics, objective, model, data.label_spec)
    weights = None if loss_weights is None else _check_loss_weights(model, loss_weights)
    model.compile(
        fresh_optimizer,
        loss=chosen_loss,
        loss_weights=weights,
        metrics=chosen_metrics,
        jit_compile=plan.jit_compile,
        steps_per_execution=plan.steps_per_execution,
    )
    gradient_accumulation.check_model(model, plan)
    if plan.jit_compile and not model.jit_compile:
        plan = plan.replace(reason="Keras does not use XLA for this model", jit_compile=False)
    if requested_plan.jit_compile and not plan.jit_compile and is_requested(requested_plan, "jit_compile"):
        messages.append(f"the training step is compiled without XLA: {dict(plan.reasons)['jit_compile']}")
    loss_text = describe(chosen_loss) if weights is None else f"{describe(chosen_loss)} weighted by {describe(weights)}"
    messages += gradient_accumulation.notes(model, plan, data)
    plan, noise_notes = with_noise_reason(plan, model)
    input_notes = (*(data.input_rules.notes if data.input_rules else ()), *messages)
    return CompiledModel(
        model,
        plan,
        definition=repr(net),
        optimizer="none" if fresh_optimizer is None else describe(fresh_optimizer),
        loss=loss_text,
        metrics=describe_all(chosen_metrics),
        notes=(*input_notes, *metric_notes, *target_scale_notes(objective, data), *noise_notes),
        label_checks=label_checks,
        prediction=_prediction_settings(net, model, data, chosen_loss, objective),
    )


def _prediction_settings(
    net: Definition | keras.Model,
    model: keras.Model,
    data: TrainingData,
    loss: Losses | None,
    objective: Objective | None,
) -> PredictionSettings:
    target = training_target(net)
    heads = output_heads(model, loss, objective) if target == "labels" else {}
    return PredictionSettings.from_training(data, heads, target)


def _check_definition(net: object) -> None:
    if hasattr(net, "build") and not isinstance(net, type | keras.layers.Layer):
        return
    received = f"the class {net.__name__}" if isinstance(net, type) else type(net).__name__
    raise make_error(
        TypeError,
        f"net: expected a definition or a compiled keras.Model, received {received}",
        hint="pass a definition such as dk.Sequential([...])",
    )


def _build(net: Definition, data: TrainingData, adapter: adaptation.Adapter) -> keras.Model:
    """Build the definition for the shape of the data, unless the definition fixes its input shape."""
    inputs: Any = data.input_spec
    input_spec = getattr(net, "input_spec", None)
    fixes_input = input_spec is not None and input_spec() is not None
    is_fixed = fixes_input or not isinstance(inputs, tf.TensorSpec)
    if not is_fixed and inputs.shape.rank is None:
        raise make_error(
            ValueError,
            "data: the dataset does not know the shape of its batches, which the definition needs",
            hint="put dk.Input(shape) first in the definition, or use tf.ensure_shape in dataset.map",
        )
    shape = None if is_fixed else tuple(inputs.shape[1:])
    if data.input_rules is None:
        build_adapted = getattr(net, "build_adapted", None)
        model = adapter.build(lambda: build_adapted(shape, adapter)) if build_adapted else net.build(shape)
        check_inputs(getattr(model, "input", None), data, is_fixed)  # a subclassed model has none
    else:
        model_inputs, x = data.input_rules.make_inputs(net, shape)
        check_inputs(model_inputs, data, is_fixed)
        model = adapter.build(lambda: net.build_from(model_inputs, x, adapter=adapter))
    return model


def _adapt(model: keras.Model, data: TrainingData) -> list[str]:
    """Adapt a built model to its data before training; return a message for each preprocessing layer.

    If the model has a method `adapt`, as that of `dk.Seq2Seq` has, the method adapts the model, or raises an error for
    data that it cannot model. A layer that is adapted already keeps its state.
    """
    if callable(getattr(model, "adapt", None)):
        messages = model.adapt(data.single_epoch())
        return [*messages] if isinstance(model, AutoregressiveModel | CheckedData) else []
    return list(adaptation.adapt_model(model, data.single_epoch, data.fitted_states).values())


def _check_sigmoid_targets(net: Definition, model: keras.Model, data: TrainingData) -> None:
    """Raise if a sigmoid output must reconstruct inputs outside [0, 1]; only the first batch is read."""
    if getattr(net, "training_target", "") != "inputs":
        return
    if getattr(model.layers[-1], "activation", None) is not keras.activations.sigmoid:
        return
    values = keras.ops.convert_to_numpy(data.sample_batch()[1])
    minimum, maximum = values.min(), values.max()
    if minimum >= 0 and maximum <= 1:
        return
    scale = "scale the inputs with x / 255" if minimum >= 0 else "scale the inputs to [0, 1]"
    raise make_error(
        ValueError,
        f"data: the model ends in a sigmoid, which reconstructs values from 0 to 1, and its inputs are from "
        f"{minimum:.4g} to {maximum:.4g}",
        hint=f"{scale}, or set activation=None",
    )


def _adapt_plan(plan: Plan, model: keras.Model, data: TrainingData) -> Plan:
    """Return the plan adapted to this model and this data."""
    unsupported = [layer.name for layer in model.layers if not layer.supports_jit]
    if plan.jit_compile and unsupported:
        plan = plan.replace(reason=f"XLA does not support the layer {unsupported[0]}", jit_compile=False)
    if plan.steps_per_execution > 1 and not data.steps:  # Keras would wait for steps after the last batch
        plan = plan.replace(reason="the number of steps of an epoch is unknown", steps_per_execution=1)
    elif plan.steps_per_execution > 1 and not graph_loop.is_supported(model):
        plan = plan.replace(reason="the model has a training function of its own", steps_per_execution=1)
    return plan


def _head_objective(net: Definition, model: keras.Model, data: TrainingData, loss: Losses | None) -> Objective | None:
    """Return the loss and the metrics of the definition's head, or None if it has none."""
    if loss is None:
        _check_label_names(model, data.label_spec)
    if not hasattr(net, "objective") or data.label_spec is None or not hasattr(model, "output"):
        return None
    return check_objective(net.objective(_shapes(model.output), _shapes(data.label_spec)), net)


def _choose_optimizer(
    model: keras.Model, optimizer: OptimizerLike | None, plan: Plan
) -> keras.optimizers.Optimizer | None:
    """Return a fresh copy of the optimizer that was passed, Adam by default; None for a model that has none."""
    if optimizer is None and isinstance(model, PerceptronModel | HopfieldNetwork):
        return None
    fresh_optimizer: keras.optimizers.Optimizer = fresh_copy(
        keras.optimizers.get("adam" if optimizer is None else optimizer)
    )
    _check_copy(fresh_optimizer, optimizer, plan)
    strategy.check_optimizer(fresh_optimizer, plan.replicas)
    check_patterns(fresh_optimizer, model)
    return fresh_optimizer


def _check_copy(copy: keras.optimizers.Optimizer, optimizer: OptimizerLike | None, plan: Plan) -> None:
    """Raise if the plan would change an optimizer of the user that cannot be copied."""
    if copy is optimizer and plan.gradient_accumulation_steps > 1 and not copy.gradient_accumulation_steps:
        raise make_error(
            ValueError,
            f"gradient_accumulation_steps={plan.gradient_accumulation_steps}: the optimizer {type(copy).__name__} "
            "cannot be copied from its config, and deepkit does not change yours",
            hint="pass gradient_accumulation_steps to the optimizer itself, or return all its arguments from "
            "get_config",
        )


def _choose_loss(
    net: Definition, model: keras.Model, loss: Losses | None, objective: Objective | None
) -> Losses | None:
    """Return a fresh copy of the loss that was passed, else of the head's loss; None if the model has its own."""
    if loss is not None:
        loss = resolve_losses(loss, objective)
        _check_losses(model, loss, "the default loss, or " if objective else "")
        return keras.tree.map_structure(fresh_copy, loss)
    if objective is not None and objective.loss is not None:
        return keras.tree.map_structure(fresh_copy, objective.loss)
    if objective is not None and not _has_own_loss(model):
        raise make_error(
            ValueError,
            f"net: a dk.Perceptron has its own training step, but {type(model).__name__} {model.name!r} does not",
            hint="make it the last element of a dk.Sequential that is the whole definition",
        )
    if not _has_own_loss(model):
        raise make_error(
            ValueError,
            f"loss: the definition has no head that defines a loss: {format_value(net)}",
            hint="pass loss='mse', or add a head such as dk.Classifier(10) as the last element",
        )
    return None


def _choose_metrics(
    metrics: Metrics | None, objective: Objective | None, model: keras.Model, labels: object
) -> tuple[Metrics, tuple[str, ...]]:
    """Return fresh copies of the metrics that were passed, adapted to the head, else of the head's metrics.

    The second value is a message for each metric that was adapted.
    """
    if metrics is not None:
        heads = objective.head if objective else None
        return adapt_metrics(keras.tree.map_structure(fresh_copy, metrics), heads, model, labels)
    chosen: object = objective.metrics if objective else []
    if isinstance(chosen, tuple):
        chosen = list(chosen)
    return keras.tree.map_structure(fresh_copy, chosen), ()


def _check_losses(model: keras.Model, losses: Losses, alternative: str) -> None:
    """Raise if a loss that expects probabilities was passed for an output of logits."""
    outputs = getattr(model, "output", None)
    pairs: list[tuple[str, object, object]] = []
    if isinstance(losses, Mapping):
        if isinstance(outputs, dict):
            pairs = [(f"loss[{name!r}]", losses[name], outputs[name]) for name in losses if name in outputs]
    elif isinstance(losses, list | tuple):
        if isinstance(outputs, list | tuple):
            pairs = [(f"loss[{i}]", *pair) for i, pair in enumerate(zip(losses, outputs, strict=False))]
    else:
        pairs = [("loss", losses, output) for output in keras.tree.flatten(outputs)]
    for argument, loss, output in pairs:
        if isinstance(output, keras.KerasTensor):
            check_loss(loss, output, argument, alternative)


def _check_loss_weights(model: keras.Model, weights: LossWeights) -> dict[str, float]:
    """Return the weight of each output's loss: the one that was passed, or 1."""
    outputs = getattr(model, "output", None)
    names = list(outputs) if isinstance(outputs, dict) else []
    if not names:
        raise make_error(
            ValueError,
            f"loss_weights: {model.name} has no named outputs",
            hint="use a dk.Functional with outputs=[...]",
        )
    has_output_names = isinstance(weights, Mapping) and set(weights) <= set(names)
    if has_output_names and all(is_number(weight) and weight >= 0 for weight in weights.values()):
        return {name: float(weights.get(name, 1.0)) for name in names}
    raise make_error(
        ValueError,
        f"loss_weights: expected numbers of at least 0 by output name ({', '.join(names)}), received "
        f"{format_value(weights)}",
        hint=f"pass loss_weights={{{names[-1]!r}: 0.3}}",
    )


def _check_label_names(model: keras.Model, labels: object) -> None:
    """Raise if outputs or labels have names, and the names differ."""
    outputs = getattr(model, "output", None)
    expected = list(outputs) if isinstance(outputs, dict) else None
    received = list(labels) if isinstance(labels, dict) else None
    if labels is None or expected == received:
        return
    if expected and received and sorted(expected) == sorted(received):
        return
    raise ValueError(
        message(
            f"data: the definition's outputs are {', '.join(expected or ['one without a name'])}, "
            f"the labels have {', '.join(received or ['no names'])}",
            hint="name the labels like the outputs",
        )
    )


def _shapes(tensors: object) -> object:
    """Return the shape of a tensor, or of each tensor in a structure, as a tuple."""
    return keras.tree.map_structure(lambda tensor: tuple(tensor.shape), tensors)


def _has_own_loss(model: keras.Model) -> bool:
    """Return whether a model computes a loss by itself; weight penalties alone do not count."""
    for name in ("train_step", "compute_loss"):
        if getattr(type(model), name) is not getattr(keras.Model, name):
            return True
    penalties = sum(weight.regularizer is not None for weight in model.trainable_variables)
    return len(model.losses) > penalties
