"""The arguments of `fit` that define its data, with Keras's names and meaning, and their checks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import tensorflow as tf

from deepkit.data import Data
from deepkit.data.user_arrays import is_list_of_arrays
from deepkit.definition.functional import Functional
from deepkit.training.errors import LabelError
from deepkit.utils.errors import format_value, make_error
from deepkit.utils.validation import check_flag, check_fraction, check_integer

if TYPE_CHECKING:
    from deepkit.utils.types import ArrayLike, Dataset

    ArraysLike: TypeAlias = ArrayLike | Mapping[str, ArrayLike] | Sequence[ArrayLike]
    ValidationLike: TypeAlias = Dataset | ArraysLike | Sequence[ArraysLike | None]
    DataLike: TypeAlias = Data | ValidationLike

_DATA_HINTS = {
    "y": "leave y out",
    "sample_weight": "pass sample_weight to dk.data.from_arrays",
    "validation_split": "pass validation= to the function of dk.data that returned it",
    "shuffle": "pass shuffle=False to dk.data.from_arrays, or data.validation for batches in order",
}
_DATASET_HINTS = {
    "y": "leave y out, and let the dataset yield (x, y)",
    "sample_weight": "leave sample_weight out, and let the dataset yield (x, y, sample_weight)",
    "validation_split": "pass validation_data=, for example dataset.take(10), and x=dataset.skip(10)",
    "shuffle": "leave shuffle out: the batches are read in the order of the dataset",
}
_DATA_HINT = "pass x and y as arrays, dk.data.load('mnist'), or a tf.data.Dataset of (x, y)"


class LabeledArrays(NamedTuple):
    """Arrays of examples."""

    x: Any
    y: Any = None
    sample_weight: Any = None


@dataclass(frozen=True)
class DataArguments:
    """The arguments of `fit` that define its training and validation data.

    Args:
        x: Inputs, a tuple (x, y) or (x, y, sample_weight), or a dataset.
        y: Labels of the arrays x, or None.
        sample_weight: Weights of the arrays x, or None.
        batch_size: Examples per batch; None for that of the data.
        validation_data: Validation batches or arrays, or None.
        validation_split: Fraction of the arrays, from their end, to use as validation data.
        shuffle: Whether to shuffle the arrays before each epoch.
        steps_per_epoch: Number of batches in an epoch; None for all batches of the data.
        validation_steps: Number of validation batches; None for all.
        input_names: Names of the definition's inputs, if it has several.
        output_names: Names of the definition's outputs, if it has several.

    Raises:
        ValueError: An argument is out of range, or contradicts another.
    """

    x: DataLike
    y: ArraysLike | None = None
    sample_weight: ArraysLike | None = None
    batch_size: int | None = None
    validation_data: ValidationLike | None = None
    validation_split: float = 0.0
    shuffle: bool = True
    steps_per_epoch: int | None = None
    validation_steps: int | None = None
    input_names: tuple[str, ...] = ()
    output_names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_flag(self.shuffle, "shuffle", hint="pass shuffle=False for the order of the arrays")
        check_fraction(self.validation_split, "validation_split", hint="pass validation_split=0.2")
        for name in ("steps_per_epoch", "validation_steps"):
            steps = getattr(self, name)
            if steps is not None:
                check_integer(steps, name, hint=f"pass {name}=100, a number of batches, or leave it out")
        if self.validation_split and self.validation_data is not None:
            problem = "validation_split and validation_data were both passed"
            raise make_error(ValueError, problem, hint="pass one of them")

    def for_definition(self, net: object) -> DataArguments:
        """Return the arguments with the names of the inputs and outputs of a definition, if it has several."""
        if not isinstance(net, Functional):
            return self
        outputs = net.outputs if isinstance(net.outputs, tuple) else ()
        return replace(self, input_names=tuple(net.inputs), output_names=outputs)

    def arrays(self) -> LabeledArrays:
        """Return the training arrays, by name if the definition has several inputs or outputs."""
        return self._named(unpack_arrays(self.x, self.y, self.sample_weight))

    def validation_arrays(self) -> LabeledArrays:
        """Return the validation arrays likewise."""
        data: Any = self.validation_data
        return self._named(unpack_arrays(tuple(data) if isinstance(data, list) else data, name="validation_data"))

    def _named(self, arrays: LabeledArrays) -> LabeledArrays:
        labels = (_by_name(value, self.output_names) for value in arrays[1:])
        return LabeledArrays(_by_name(arrays.x, self.input_names), *labels)


def check_unlabeled(arguments: DataArguments, target: str, model: str) -> None:
    """Raise if labels are passed beside arrays to a model that is trained on its inputs alone.

    The labels of a dataset are ignored: the same dataset also trains a classifier.

    Args:
        arguments: The data.
        target: The training target of the model: "labels", "inputs" or "none".
        model: The model, for messages.

    Raises:
        LabelError: Labels are passed. An autoencoder accepts x itself as y, which Keras's `fit` requires.
    """
    if target == "labels":
        return
    train = (arguments.x, arguments.y) if arguments.y is not None else arguments.x
    for name, data in (("y", train), ("validation_data", arguments.validation_data)):
        x, y = (*data, None)[:2] if isinstance(data, tuple) else (data, None)
        if y is None or (target == "inputs" and y is x):
            continue
        raise LabelError(
            f"labels: {model} is trained on its inputs alone, received labels",
            path=name,
            hint="leave the labels out: pass x alone; a network that ends in dk.Classifier or dk.Regressor learns them",
        )


def check_only_x(arguments: DataArguments) -> None:
    """Raise if an argument about arrays was passed beside a dataset.

    A dataset contains its labels and weights, and determines its order and its splits.
    """
    hints, received = _DATASET_HINTS, f"the {type(arguments.x).__name__}"
    if isinstance(arguments.x, Data):
        hints, received = _DATA_HINTS, "a dk.data Data"
    elif isinstance(arguments.x, tf.data.Dataset):
        received = "a tf.data.Dataset"
    for name, hint in hints.items():
        value, default = getattr(arguments, name), getattr(DataArguments, name)
        if value is not None and (default is None or value != default):
            problem = f"{name}: expected arrays as x, received {received}"
            raise make_error(ValueError, problem, hint=hint)


def unpack_arrays(x: object, y: object = None, sample_weight: object = None, *, name: str = "x") -> LabeledArrays:
    """Return the arrays that were passed as x, y and sample_weight, or as a tuple x.

    Args:
        x: Inputs; a tuple is (x,), (x, y) or (x, y, sample_weight) if y is None, else several inputs.
        y: Labels, or None.
        sample_weight: Weights, or None.
        name: Name of the argument in error messages.
    """
    arrays = LabeledArrays(x, y, sample_weight)
    if isinstance(x, tuple) and y is None:
        if not 1 <= len(x) <= 3:
            problem = f"{name}: expected (x, y) or (x, y, sample_weight), received a tuple of {len(x)}"
            raise make_error(TypeError, problem, hint="pass several inputs as a list or a mapping by name")
        arrays = LabeledArrays(*x)
        if sample_weight is not None:
            if arrays.sample_weight is not None:
                problem = f"sample_weight: {name} contains sample weights too"
                raise make_error(ValueError, problem, hint="pass the weights once")
            arrays = arrays._replace(sample_weight=sample_weight)
    _check_array_like(arrays.x, name)
    if arrays.y is not None:
        _check_array_like(arrays.y, "y" if name == "x" else f"{name} y")
    return arrays


def _by_name(value: object, names: tuple[str, ...]) -> object:
    """Return a list or a tuple of arrays as a mapping by the names of the inputs or outputs, in their order."""
    if (is_list_of_arrays(value) or isinstance(value, tuple)) and len(value) == len(names):
        return dict(zip(names, value, strict=True))
    return value


def _check_array_like(value: object, name: str) -> None:
    is_text, is_dataset = isinstance(value, str | bytes), isinstance(value, tf.data.Dataset | Data)
    is_structure = isinstance(value, Sequence | Mapping) and not is_text
    if (is_structure or hasattr(value, "shape") or hasattr(value, "__array__")) and not is_dataset:
        return
    received = format_value(value) if is_text or isinstance(value, int | float) else type(value).__name__
    expected = "arrays" if name.endswith("y") else "a dk.data Data, a tf.data.Dataset or arrays"
    hint = _text_hint(str(value)) if is_text else _DATA_HINT
    raise make_error(TypeError, f"{name}: expected {expected}, received {received}", hint=hint)


def _text_hint(value: str) -> str:
    """Return a hint for a string, which is a path, the name of a dataset, or a text."""
    if Path(value).suffix == ".csv":
        return f"pass dk.data.from_table({value!r}, target=...)"
    if " " in value or "\n" in value:
        return "pass a list of texts; pieces of a long text are [text[i : i + 200] for i in range(0, len(text), 200)]"
    return "pass dk.data.load(name), dk.data.from_folder(path), or a list of texts"
