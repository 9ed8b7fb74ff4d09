"""The settings that a run stores of its training, so that it converts other data in the same way."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

from deepkit.data import Pipeline
from deepkit.data.image_decoding import ImageSettings
from deepkit.data.table_schema import TableSchema
from deepkit.definition.objective import Head
from deepkit.training.training_data import TrainingData

if TYPE_CHECKING:
    from deepkit.data.nested_arrays import Scales

_NUM_EXAMPLES = 256  # of the training images, whose values are summarized


@dataclasses.dataclass(frozen=True)
class PredictionSettings:
    """The conversions of inputs and outputs in `Run.predict` and `Run.evaluate`.

    Args:
        heads: The head of each output by name, `""` for a single output; those of unknown outputs are missing.
        target: The training target: "labels", "inputs" or "none".
        rescales_images: Whether the training pipeline scaled uint8 images to [0, 1].
        map: The function of the training pipeline; None if there is none, or after loading: it is not stored.
        has_map: Whether the training pipeline has such a function.
        target_scales: The factors that scale images to targets, for the target "inputs".
        largest_value: The largest value of the training images, if the model has one input of images; else None.
        columns: The columns of the training table, which convert raw rows; None for other data.
        images: The settings that decode image files, if the model was trained on a folder of images; else None.
        finite_inputs: The names of the inputs that must be finite; `""` for a single input.
    """

    heads: Mapping[str, Head] = dataclasses.field(default_factory=dict)
    target: str = "labels"
    rescales_images: bool = False
    map: Callable[[Any], Any] | None = None
    has_map: bool = False
    target_scales: Scales = None
    largest_value: float | None = None
    columns: TableSchema | None = None
    images: ImageSettings | None = None
    finite_inputs: tuple[str, ...] = ()

    @classmethod
    def from_training(cls, data: TrainingData, heads: Mapping[str, Head], target: str) -> PredictionSettings:
        """Return the settings of a training.

        Args:
            data: The training data.
            heads: The head of each output by name.
            target: The training target.
        """
        pipeline = data.train if isinstance(data.train, Pipeline) else None
        decoder = None if pipeline is None else pipeline.decoder
        rules = data.input_rules
        return cls(
            heads=heads,
            target=target,
            rescales_images=pipeline is not None and pipeline.rescales_images,
            map=None if pipeline is None else pipeline.map_function,
            has_map=pipeline is not None and pipeline.map_function is not None,
            target_scales=rules.scales if rules is not None and rules.rescales else None,
            largest_value=_largest_training_value(data),
            columns=data.columns,
            images=None if decoder is None else decoder.settings,
            finite_inputs=() if rules is None else rules.finite_inputs,
        )

    def to_json(self) -> dict[str, object]:
        """Return the settings without the function as JSON values."""
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self) if field.name != "map"}
        heads = {name: dataclasses.asdict(head) for name, head in self.heads.items()}
        columns = None if self.columns is None else self.columns.to_json()
        images = None if self.images is None else dataclasses.asdict(self.images)
        return values | {"heads": heads, "columns": columns, "images": images}

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> PredictionSettings:
        """Return the settings whose JSON values `to_json` returned."""
        heads = {name: Head(**head) for name, head in stored["heads"].items()}
        columns = None if stored["columns"] is None else TableSchema.from_json(stored["columns"])
        images = None if stored["images"] is None else ImageSettings.from_json(stored["images"])
        target_scales = _with_tuples(stored["target_scales"])
        converted = {"heads": heads, "target_scales": target_scales, "columns": columns, "images": images}
        return cls(**{**stored, **converted, "finite_inputs": tuple(stored.get("finite_inputs", ()))})


def _with_tuples(value: Any) -> Any:
    """Return JSON values with tuples in place of lists."""
    if isinstance(value, Mapping):
        return {name: _with_tuples(item) for name, item in value.items()}
    return tuple(_with_tuples(item) for item in value) if isinstance(value, list) else value


def largest_value(x: Any) -> float | None:
    """Return the largest value of a batch if its only input are images (of three or more axes, not negative)."""
    leaves = tf.nest.flatten(x)
    array = np.asarray(leaves[0])
    if len(leaves) > 1 or array.ndim < 3 or array.dtype.kind not in "iuf" or not array.size or array.min() < 0:
        return None
    return float(array.max())


def _largest_training_value(data: TrainingData) -> float | None:
    """Return the largest value of the training images, as the model receives them."""
    arrays = data.arrays()
    if arrays is not None:
        return largest_value(tf.nest.map_structure(lambda array: array[:_NUM_EXAMPLES], arrays))
    rescales = isinstance(data.train, Pipeline) and data.train.rescales_images
    return 1.0 if rescales and len(tf.nest.flatten(data.input_spec)) == 1 else None
