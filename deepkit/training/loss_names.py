"""Losses by name: the cross-entropy of the head, or the loss of Keras that has this name."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import keras

from deepkit.definition.outputs import hinge_loss_name
from deepkit.losses import GaussianNegativeLogLikelihood
from deepkit.training.label_rules import label_kind
from deepkit.utils.errors import did_you_mean, format_value, make_error

if TYPE_CHECKING:
    from deepkit.definition.objective import Objective

CROSSENTROPY_NAMES = ("crossentropy", "ce")
_CROSSENTROPIES = (
    keras.losses.BinaryCrossentropy, keras.losses.CategoricalCrossentropy, keras.losses.SparseCategoricalCrossentropy,
)  # fmt: skip
ALIASES = (*CROSSENTROPY_NAMES, "bce", "mse", "mae", "msle")


def resolve_losses(losses: Any, objective: Objective | None) -> Any:
    """Check the names among the losses of the user, and replace `"crossentropy"` by the loss of the head.

    Keras would choose a cross-entropy of probabilities, which is wrong for logits.

    Args:
        losses: A loss, or a sequence or mapping of losses.
        objective: The objective of the definition, or None if it has no head.

    Raises:
        ValueError: A name is unknown, `"crossentropy"` is used without a classifier as head, or a stock loss is used
            with a head that returns a mean and a standard deviation.
    """
    head_losses = objective.loss if objective else None
    if isinstance(losses, Mapping):
        by_name = head_losses if isinstance(head_losses, Mapping) else {}
        return {name: _resolve(loss, by_name.get(name), f"loss[{name!r}]") for name, loss in losses.items()}
    if isinstance(losses, list | tuple):
        return type(losses)(_resolve(loss, None, f"loss[{i}]") for i, loss in enumerate(losses))
    return _resolve(losses, head_losses, "loss")


def _resolve(loss: Any, head_loss: object, argument: str) -> Any:
    _check_distribution(loss, head_loss, argument)
    if not isinstance(loss, str):
        return loss
    if loss.lower() in CROSSENTROPY_NAMES:
        if isinstance(head_loss, _CROSSENTROPIES):
            return head_loss
        if hinge_loss_name(head_loss) is not None:
            raise make_error(
                ValueError,
                f'{argument}: {loss!r} contradicts loss="hinge" of the classifier',
                hint="leave one of them out",
            )
        raise make_error(
            ValueError,
            f"{argument}: {loss!r} requires a definition with a classifier as its head",
            hint="add dk.Classifier(n) as the last element, or pass a loss such as keras.losses.BinaryCrossentropy()",
        )
    try:
        keras.losses.get(loss)
    except ValueError:
        problem = f"{argument}: Keras has no loss {format_value(loss)}{did_you_mean(loss, _loss_names())}"
        raise make_error(ValueError, problem, hint="pass a loss such as keras.losses.MeanSquaredError()") from None
    return loss


def _check_distribution(loss: Any, head_loss: object, argument: str) -> None:
    """Raise if a stock loss would compare labels with the mean and the standard deviation of a Gaussian head."""
    head_losses = head_loss.values() if isinstance(head_loss, Mapping) else (head_loss,)
    if not any(isinstance(item, GaussianNegativeLogLikelihood) for item in head_losses):
        return
    if isinstance(loss, GaussianNegativeLogLikelihood) or label_kind(loss) is None:
        return
    name = loss if isinstance(loss, str) else getattr(loss, "__name__", type(loss).__name__)
    raise make_error(
        ValueError,
        f"{argument}: {format_value(name)} compares each label with one number, but the head returns a mean and a "
        "standard deviation",
        hint="leave loss out, or use dk.Regressor without distribution",
    )


def _loss_names() -> list[str]:
    names = [name for name in dir(keras.losses) if not name.startswith("_")]
    return [*ALIASES, *(name for name in names if not _is_utility(name))]


def _is_utility(name: str) -> bool:
    return name in ("get", "serialize", "deserialize", "Loss") or inspect.ismodule(getattr(keras.losses, name))
