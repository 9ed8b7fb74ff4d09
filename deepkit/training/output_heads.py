"""The head of each output of a trained model: whether it predicts classes or numbers, from logits or probabilities."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import keras

from deepkit.definition.objective import Head, Objective
from deepkit.definition.outputs import PROBABILITY_ACTIVATIONS, hinge_loss_name, output_activation
from deepkit.losses import GaussianNegativeLogLikelihood
from deepkit.training.label_rules import label_kind


def output_heads(model: keras.Model, loss: Any, objective: Objective | None = None) -> dict[str, Head]:
    """Return the head of each output by name, `""` for a single output; an output of unknown meaning has none.

    Args:
        model: The model, built.
        loss: The losses that the model is trained with: one, or several by name or by position.
        objective: The objective of the definition, or None if it has none.
    """
    heads = objective.head if objective is not None else None
    result = {}
    for position, (name, tensor) in enumerate(named_outputs(model).items()):
        head = heads.get(name) if isinstance(heads, Mapping) else heads
        head = _trained_head(head, _select(loss, name, position), tensor)
        if head is not None:
            result[name] = head
    return result


def named_outputs(model: keras.Model) -> dict[str, Any]:
    """Return the symbolic outputs by name, `""` for a single output; empty if they are unknown."""
    outputs = getattr(model, "output", getattr(model, "outputs", None))  # a keras.Sequential has only the latter
    if outputs is None:
        return {}
    if isinstance(outputs, Mapping):
        return dict(outputs)
    if isinstance(outputs, list | tuple):
        return {"": outputs[0]} if len(outputs) == 1 else dict(zip(model.output_names, outputs, strict=True))
    return {"": outputs}


def symbolic_inputs(model: keras.Model) -> Any:
    """Return the symbolic input of a model, or a structure of several; None if it is unknown."""
    return getattr(model, "input", getattr(model, "inputs", None))


def _select(loss: Any, name: str, position: int) -> Any:
    if isinstance(loss, Mapping):
        return loss.get(name)
    if isinstance(loss, list | tuple):
        return loss[position] if position < len(loss) else None
    return loss


def _trained_head(head: Head | None, loss: Any, tensor: Any) -> Head | None:
    """Return the head of an output that is trained with a loss, which may differ from the loss of its block."""
    if loss is None or not isinstance(tensor, keras.KerasTensor) or not len(tensor.shape):
        return head
    kind = label_kind(loss)
    if kind is None:
        return head
    units = tensor.shape[-1] or 0
    loss = keras.losses.get(loss)
    is_hinge = hinge_loss_name(loss) is not None
    if is_hinge and head is not None and head.task != "regression":
        return dataclasses.replace(head, scores=True)
    if kind == "class_indices" and is_hinge:
        return Head("multiclass", units, from_logits=True, scores=True)
    if kind == "numbers" or is_hinge:
        if head is not None:
            return head
        return Head("regression", units, distribution="gaussian" if _is_gaussian(loss) else None)
    from_logits = _from_logits(loss, tensor)
    if kind == "probabilities":
        return Head("binary" if units == 1 else "multilabel", units, from_logits)
    return Head("multiclass", units, from_logits, one_hot=kind == "class_probabilities")


def _is_gaussian(loss: object) -> bool:
    return isinstance(loss, GaussianNegativeLogLikelihood)


def _from_logits(loss: Any, tensor: keras.KerasTensor) -> bool:
    """Return whether an output holds logits: by its activation, else by its loss."""
    activation = output_activation(tensor)[1]
    if activation in PROBABILITY_ACTIVATIONS:
        return activation.lower().startswith("log")  # the softmax of log-probabilities is the probabilities
    return activation == "linear" or getattr(loss, "from_logits", None) is True
