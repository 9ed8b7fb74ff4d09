"""From what `fit` was given to a compiled model: built under the plan, or checked against it."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import keras
import tensorflow as tf

from deepkit.definition import keras_config
from deepkit.definition.outputs import check_loss
from deepkit.execution import strategy
from deepkit.execution.plan import Plan
from deepkit.training import text_vocabulary as text
from deepkit.training.describe import _all_words, _short, fitting_steps, fresh, words
from deepkit.training.training_data import Feed

if TYPE_CHECKING:
    from deepkit.execution.plan import Measurement


@dataclass(frozen=True)
class Assembled:
    """A compiled model and, in words, what it is and what it is trained with.

    Args:
        model: Ready for `model.fit`.
        plan: The plan as it holds for this model.
        definition: The code of the definition, or a hash of the config of a model that came compiled.
        optimizer: As code.
        loss: As code.
        metrics: As code.
        taken: Whether the model came compiled.
        measured: What was measured to choose the plan.
    """

    model: keras.Model
    plan: Plan
    definition: str
    optimizer: str
    loss: str
    metrics: tuple[str, ...]
    taken: bool = False
    measured: tuple[Measurement, ...] = ()


def assemble(
    net: Any, feed: Feed, plan: Plan, optimizer: Any, loss: Any, metrics: Any, loss_weights: Any = None
) -> Assembled:
    """Build and compile a definition, or take a compiled model; call it with the plan in force.

    Raises:
        TypeError: `net` is neither a definition nor a model.
        ValueError: It cannot be trained so; the message says why.
    """
    if isinstance(net, keras.Model):
        given = {"optimizer": optimizer, "loss": loss, "metrics": metrics, "loss_weights": loss_weights}
        taken = _taken(net, plan, given)
        _adapt(net, feed)
        return taken
    if not hasattr(net, "build") or isinstance(net, type | keras.layers.Layer):
        what = f"the class {net.__name__}" if isinstance(net, type) else type(net).__name__
        raise TypeError(
            f"net: expected a definition or a compiled keras.Model, received {what}\n  hint: dk.Sequential([...])"
        )
    model = _built(net, feed)
    if plan.strategy == "mirrored":
        strategy.synchronise(model)
    _adapt(model, feed)
    _check_values(net, model, feed)
    plan = _fitting(plan, model, feed)
    optimizer = fresh(keras.optimizers.get("adam" if optimizer is None else optimizer))
    strategy.check_optimizer(optimizer, plan.devices)
    loss, metrics = _objective(net, model, feed, loss, metrics)
    weights = None if loss_weights is None else _loss_weights(model, loss_weights)
    model.compile(
        optimizer,
        loss=loss,
        loss_weights=weights,
        metrics=metrics,
        jit_compile=plan.jit_compile,
        steps_per_execution=plan.steps_per_execution,
    )
    if plan.jit_compile and not model.jit_compile:
        plan = plan.but("Keras leaves XLA out here", jit_compile=False)
    said = words(loss) if weights is None else f"{words(loss)} weighted by {words(weights)}"
    return Assembled(model, plan, repr(net), words(optimizer), said, _all_words(metrics))


def _built(net: Any, feed: Feed) -> keras.Model:
    """Build the definition for the shape of the data, unless it fixes its own."""
    inputs = feed.inputs
    fixed = getattr(net, "input_spec", lambda: None)() is not None
    if fixed or not isinstance(inputs, tf.TensorSpec):
        model = net.build()
        _check_names(model, inputs)
        _check_input(model, inputs)
        return model
    if inputs.shape.rank is None:
        raise ValueError(
            "data: the dataset does not say the shape of its batches, which the definition needs\n"
            "  hint: dk.Input(shape) as its first element, or dataset.map(... tf.ensure_shape ...)"
        )
    return net.build(tuple(inputs.shape[1:]))


def _adapt(model: keras.Model, feed: Feed) -> None:
    """Let a model look at the data before it is trained: to collect its vocabulary, or to refuse what it cannot model.

    A model that has a vocabulary keeps it.
    """
    if callable(getattr(model, "adapt", None)):
        model.adapt(feed.once())
    elif text.unadapted(model):
        text.adapt(model, feed.once())


def _check_values(net: Any, model: keras.Model, feed: Feed) -> None:
    """Raise where a sigmoid is to give back values that it does not reach; looks at the first batch."""
    last = model.layers[-1] if getattr(net, "training_target", "") == "inputs" else None
    if getattr(last, "activation", None) is not keras.activations.sigmoid:
        return
    values = keras.ops.convert_to_numpy(feed.one_input())
    if values.min() < 0 or values.max() > 1:
        raise ValueError(
            "data: the model gives back values from 0 to 1, as it ends in a sigmoid, and its inputs are "
            f"from {values.min():.4g} to {values.max():.4g}\n"
            f"  hint: {'x / 255' if values.min() >= 0 else 'values from 0 to 1'}, or activation=None"
        )


def _check_names(model: keras.Model, inputs: Any) -> None:
    expected = getattr(model, "input", None)  # which a model that is no graph does not have
    if isinstance(expected, dict) and (not isinstance(inputs, dict) or set(inputs) != set(expected)):
        received = ", ".join(inputs) if isinstance(inputs, dict) else "no names"
        raise ValueError(
            f"data: the definition's inputs are {', '.join(expected)}, the data has {received}\n"
            f"  hint: ({{{', '.join(f'{name!r}: ...' for name in expected)}}}, labels)"
        )


def _check_input(model: keras.Model, inputs: Any) -> None:
    expected = getattr(model, "input_shape", None)
    if not isinstance(inputs, tf.TensorSpec) or not isinstance(expected, tuple) or inputs.shape.rank is None:
        return
    if not inputs.shape.is_compatible_with(expected):
        raise ValueError(
            f"data: examples have the shape {tuple(inputs.shape[1:])}, the definition fixes {expected[1:]}\n"
            "  hint: leaving the input shape out of the definition, or other data"
        )


def _objective(net: Any, model: keras.Model, feed: Feed, loss: Any, metrics: Any) -> tuple[Any, Any]:
    """Return loss and metrics: those given, else those of the head."""
    offered = None
    if loss is None:
        _check_labels(model, feed.labels)
    if hasattr(net, "objective") and feed.labels is not None and hasattr(model, "output"):
        offered = net.objective(_shapes(model.output), _shapes(feed.labels))
    if loss is None and offered is None and not _brings_its_own(model):
        raise ValueError(
            f"loss: nothing in the definition says what to train it for: {_short(repr(net))}\n"
            "  hint: loss='mse', or a head such as dk.Classifier(10) as its last element"
        )
    if loss is None and offered is not None:
        loss = offered.loss
    elif loss is not None:
        _check_loss(model, loss, "the default loss, or " if offered else "")
    if metrics is None:
        metrics = offered.metrics if offered else []
        metrics = list(metrics) if isinstance(metrics, tuple) else metrics
    return keras.tree.map_structure(fresh, loss), keras.tree.map_structure(fresh, metrics)


def _check_loss(model: keras.Model, given: Any, instead: str) -> None:
    """Raise where a loss that was given takes the logits of an output for probabilities."""
    outputs: Any = getattr(model, "output", None)
    if isinstance(given, dict):
        known = [name for name in given if isinstance(outputs, dict) and name in outputs]
        found = [(given[name], outputs[name], f"loss[{name!r}]") for name in known]
    elif isinstance(given, list | tuple):
        several = outputs if isinstance(outputs, list | tuple) else []
        found = [(loss, output, f"loss[{i}]") for i, (loss, output) in enumerate(zip(given, several, strict=False))]
    else:
        found = [(given, output, "loss") for output in keras.tree.flatten(outputs)]
    for loss, output, argument in found:
        if isinstance(output, keras.KerasTensor):
            check_loss(loss, output, argument, instead)


def _loss_weights(model: keras.Model, given: Any) -> dict[str, float]:
    """Return the weight of each output's loss: those given, and 1 for the rest."""
    outputs = getattr(model, "output", None)
    names = list(outputs) if isinstance(outputs, dict) else []
    if not names:
        raise ValueError(
            f"loss_weights: {model.name} has no outputs with names, whose losses could be weighed against each other\n"
            "  hint: a dk.Functional with outputs=[...]"
        )
    known = isinstance(given, dict) and not set(given) - set(names)
    if not known or not all(isinstance(weight, int | float) and 0 <= weight < math.inf for weight in given.values()):
        raise ValueError(
            f"loss_weights: expected numbers from 0 by the names of outputs ({', '.join(names)}), received {given!r}\n"
            f"  hint: loss_weights={{{names[-1]!r}: 0.3}}"
        )
    return {name: float(given.get(name, 1.0)) for name in names}


def _check_labels(model: keras.Model, labels: Any) -> None:
    """Raise where labels are named, or outputs are, and the names are not the same."""
    outputs = getattr(model, "output", None)
    expected = list(outputs) if isinstance(outputs, dict) else None
    received = list(labels) if isinstance(labels, dict) else None
    if labels is None or (expected is None and received is None) or sorted(expected or [""]) == sorted(received or []):
        return
    raise ValueError(
        f"data: the definition's outputs are {', '.join(expected or ['one without a name'])}, "
        f"the labels have {', '.join(received or ['no names'])}"
    )


def _shapes(tensors: Any) -> Any:
    """Return the shapes of a tensor, or of each in a mapping or list of them, as tuples."""
    return keras.tree.map_structure(lambda tensor: tuple(tensor.shape), tensors)


def _brings_its_own(model: keras.Model) -> bool:
    """Tell whether a model has a loss without being given one; penalties on its weights alone are none."""
    penalties = sum(weight.regularizer is not None for weight in model.trainable_variables)
    own = any(getattr(type(model), name) is not getattr(keras.Model, name) for name in ("train_step", "compute_loss"))
    return own or len(model.losses) > penalties


def _fitting(plan: Plan, model: keras.Model, feed: Feed) -> Plan:
    """Return the plan as it holds for this model and this data."""
    without = [layer.name for layer in model.layers if not layer.supports_jit]
    if plan.jit_compile and without:
        plan = plan.but(f"{without[0]} has no form that XLA can compile", jit_compile=False)
    if plan.steps_per_execution > 1 and feed.steps:
        fits = fitting_steps(plan.steps_per_execution, feed.steps)
        if fits < plan.steps_per_execution:
            reason = f"{plan.steps_per_execution} does not divide the {feed.steps} steps of an epoch, {fits} does"
            plan = plan.but(reason, steps_per_execution=fits)
    return plan


def _taken(model: keras.Model, plan: Plan, given: dict[str, Any]) -> Assembled:
    """Take a compiled model as it is."""
    for name, value in given.items():
        if value is not None:
            raise ValueError(
                f"{name}: the model came with its own, as a compiled model is used as it is\n"
                f"  hint: model.compile({name}=...), or give dk.fit the definition"
            )
    if not model.compiled:
        raise ValueError(
            f"net: the model {model.name!r} is not compiled, so nothing says how to train it\n"
            "  hint: model.compile('adam', loss=...), or give dk.fit the definition rather than definition.build(...)"
        )
    _check_home(model, plan)
    if plan.strategy == "mirrored":
        strategy.check_synchronised(model)
        strategy.check_optimizer(model.optimizer, plan.devices)
    plan = plan.but(
        "the model came compiled so",
        jit_compile=bool(model.jit_compile),
        steps_per_execution=int(model.steps_per_execution),
        precision=model.dtype_policy.name,
    )
    kept = model.get_compile_config() or {}
    shown = [kept.get("loss"), kept.get("metrics")]
    loss, metrics = (words(keras.saving.deserialize_keras_object(part)) if part else "none" for part in shown)
    return Assembled(model, plan, _architecture(model), words(model.optimizer), loss, (metrics,), taken=True)


def _check_home(model: keras.Model, plan: Plan) -> None:
    """Raise where the model's variables belong to another strategy than the plan's."""
    home = _home(model)
    wanted = strategy.mirrored(plan.devices) if plan.strategy == "mirrored" else None
    if home is not wanted:
        there = f"over {home.num_replicas_in_sync} devices of another strategy" if home else "outside any strategy"
        raise ValueError(
            f"net: the model was built {there}, and the plan runs on {', '.join(plan.devices)}\n"
            "  hint: building and compiling it inside `with plan:`, or give dk.fit the definition"
        )


def _home(model: keras.Model) -> Any:
    """Return the strategy over several devices that the model's variables live in, or None."""
    for variable in model.variables:
        owner = getattr(variable.value, "distribute_strategy", None)
        if owner is not None and owner.num_replicas_in_sync > 1:
            return owner
    return None


def _architecture(model: keras.Model) -> str:
    try:
        architecture = json.loads(model.to_json())
    except NotImplementedError:  # a model class without get_config
        return f"{type(model).__name__} with {model.count_params() if model.built else '?'} parameters"
    architecture.pop("compile_config", None)  # is said apart, and numbers its objects anew at each compile
    said = json.dumps(architecture)
    for number, part in enumerate([model, *model.layers]):
        if keras_config.is_automatic_name(part.name, type(part)):  # counted through a process, so another at each build
            said = said.replace(f'"{part.name}"', f'"{type(part).__name__} {number}"')
    return said
