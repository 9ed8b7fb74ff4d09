"""The data of `Run.predict` and `Run.evaluate`: the conversions of the training, in the order of the examples."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import keras
import tensorflow as tf

from deepkit.data import Data, Pipeline
from deepkit.data.batch_iterables import as_dataset, is_batch_iterable
from deepkit.data.images import image_scales
from deepkit.data.pipeline_settings import PipelineSettings, check_batch_size
from deepkit.data.sources import MemorySource, Source
from deepkit.data.user_arrays import is_list_of_arrays, validate_arrays
from deepkit.training.fit_arguments import DataArguments
from deepkit.training.image_paths import listed_paths, paths_as_images
from deepkit.training.output_heads import symbolic_inputs
from deepkit.training.prediction_checks import check_inputs_fit, check_no_paths, check_no_pillow_images, check_scale
from deepkit.training.prediction_settings import PredictionSettings
from deepkit.training.raw_rows import rows_as_inputs
from deepkit.training.table_columns import check_same_columns
from deepkit.training.training_data import as_tuple, no_batches
from deepkit.training.value_check import ValueCheck
from deepkit.utils.errors import format_value, make_error

if TYPE_CHECKING:
    from deepkit.data.nested_arrays import Scales
    from deepkit.utils.types import Dataset

DEFAULT_BATCH_SIZE = 32  # as in Keras


def prediction_batches(model: keras.Model, settings: PredictionSettings, x: Any, batch_size: int | None) -> Dataset:
    """Return batches whose inputs are those of `Run.predict`, in the order of the examples.

    Raises:
        DataError: Image files cannot be read.
        TypeError: `x` has an unsupported type.
        ValueError: `x` does not fit the model.
    """
    if settings.images is not None:
        check_no_pillow_images(x)
        x = listed_paths(x)
    files = paths_as_images(settings.images, x)
    if files is not None:
        hint = "decode the files with keras.utils.load_img, and pass a tf.data.Dataset of mapped batches"
        _check_map(settings, hint)
        images = _pipeline(settings, files, 1 / 255, batch_size)
        check_inputs_fit(model, images)  # without check_scale, which takes a batch of dark images for scaled ones
        return images
    check_no_paths(model, x)
    x = rows_as_inputs(settings.columns, x)
    batches = _dataset_batches(settings, x, batch_size)
    if batches is None:
        batches = _array_batches(settings, validate_arrays(named_inputs(model, x)), batch_size)
    return _check(model, settings, batches)


def evaluation_batches(model: keras.Model, settings: PredictionSettings, arguments: DataArguments) -> Dataset:
    """Return batches (x, y) or (x, y, sample_weight) for `Run.evaluate`.

    Args:
        model: The model.
        settings: The settings of the training.
        arguments: The data; the labels are numbers.

    Raises:
        TypeError: The data has an unsupported type.
        ValueError: The data does not fit the model.
    """
    batches = _dataset_batches(settings, arguments.x, arguments.batch_size)
    if batches is None:
        inputs = named_inputs(model, arguments.x)
        labels, weights = (arguments.y, arguments.sample_weight) if settings.target == "labels" else (None, None)
        batches = _array_batches(settings, validate_arrays(inputs, labels, weights), arguments.batch_size)
    if len(as_tuple(batches.element_spec)) < 2 and settings.target == "labels" and settings.heads:
        raise make_error(ValueError, "y: expected labels, received inputs only", hint=_labels_hint(settings))
    return _check(model, settings, batches)


def _labels_hint(settings: PredictionSettings) -> str:
    targets = () if settings.columns is None else settings.columns.target
    columns = " and ".join(map(repr, targets))
    return f"pass a table with the target column {columns}" if columns else "use run.evaluate(x, y)"


def named_inputs(model: keras.Model, x: Any) -> Any:
    """Return the arrays of x; those of a list or a tuple by name if the model has several named inputs.

    Raises:
        ValueError: `x` is one text, a pair (x, y), or has other inputs than the model.
    """
    if isinstance(x, str | bytes):
        problem = f"x: expected a batch of texts, received one text, {format_value(x)}"
        raise make_error(ValueError, problem, hint="pass a list: [text]")
    expected = symbolic_inputs(model)
    num_inputs = 1 if expected is None else len(keras.tree.flatten(expected))
    if num_inputs == 1:
        if isinstance(x, Mapping) and isinstance(expected, keras.KerasTensor) and set(x) != {expected.name}:
            problem = f"x: expected one array, received a mapping with the keys {', '.join(map(str, x)) or 'none'}"
            raise make_error(ValueError, problem, hint="pass the array itself")
        is_list = is_list_of_arrays(x)
        if not is_list and not isinstance(x, tuple):
            return x
        if len(x) == 1:
            return x[0]
        problem = f"x: expected one array, received a {type(x).__name__} of {len(x)}"
        hint = "use np.stack(x) if each array is an example" if is_list else "pass x alone, without labels"
        raise make_error(ValueError, problem, hint=hint)
    names = list(expected) if isinstance(expected, Mapping) else []
    if isinstance(x, list | tuple) and len(x) == num_inputs:
        return dict(zip(names, x, strict=True)) if names else tuple(x)
    if isinstance(x, Mapping) and (not names or set(x) == set(names)):
        return dict(x)
    received = ", ".join(map(str, x)) if isinstance(x, Mapping) else format_value(x)
    inputs = f"the inputs {', '.join(names)}" if names else f"{num_inputs} inputs"
    problem = f"x: expected {inputs}, received {received}"
    entries = ", ".join(f"{name!r}: ..." for name in names)
    raise make_error(
        ValueError, problem, hint=f"pass {{{entries}}}" if names else f"pass a list of {num_inputs} arrays"
    )


def single_split(data: Data) -> Pipeline:
    """Return the only split of a dataset.

    Raises:
        TypeError: There are several splits.
    """
    splits = {"train": data.train, "validation": data.validation, "test": data.test}
    names = [name for name, split in splits.items() if split is not None]
    if len(names) > 1:
        problem = f"x: expected one split, received a Data with the splits {', '.join(names)}"
        raise make_error(TypeError, problem, hint=f"pass data.{names[-1]}")
    return data.train


def _check(model: keras.Model, settings: PredictionSettings, batches: Dataset) -> Dataset:
    check_inputs_fit(model, batches)
    check_scale(settings, batches)
    return ValueCheck("x", settings.finite_inputs).check(batches)


def _dataset_batches(settings: PredictionSettings, x: Any, batch_size: int | None) -> Dataset | None:
    """Return the batches of a dataset; None for arrays."""
    if isinstance(x, Data):
        x = single_split(x)
    if isinstance(x, Pipeline):
        check_same_columns(settings.columns, x, "x")
        pipeline = x.in_order().with_target(settings.target)
        if settings.target_scales is not None:
            pipeline = pipeline.with_target_scales(settings.target_scales)
        return pipeline if batch_size is None else pipeline.rebatch(check_batch_size(batch_size))
    is_iterable = is_batch_iterable(x)
    if not is_iterable and not isinstance(x, tf.data.Dataset):
        return None
    if batch_size is not None:
        kind = type(x).__name__ if is_iterable else "tf.data.Dataset"
        hint = "leave batch_size out" if is_iterable else f"call dataset.rebatch({batch_size})"
        problem = f"batch_size={format_value(batch_size)}: x, a {kind}, has its own batches"
        raise make_error(ValueError, problem, hint=hint)
    dataset: Dataset = as_dataset(x, "x", reads_once=True) if is_iterable else x
    cardinality = int(dataset.cardinality())
    if cardinality == tf.data.INFINITE_CARDINALITY:
        raise make_error(ValueError, "x: the dataset is infinite", hint="use dataset.take(steps)")
    if cardinality == 0:
        raise no_batches("x")
    return dataset.map(lambda *batch: (batch[0], batch[0])) if settings.target == "inputs" else dataset


def _array_batches(settings: PredictionSettings, element: Any, batch_size: int | None) -> Pipeline:
    """Return a pipeline of arrays with the conversions of the training pipeline."""
    _check_map(settings, "pass dk.data.from_arrays(x, map=...).train, or a tf.data.Dataset of mapped batches")
    return _pipeline(settings, MemorySource(element), image_scales(element), batch_size)


def _check_map(settings: PredictionSettings, hint: str) -> None:
    """Raise a `ValueError` if the training data has a map function that is not available."""
    if settings.has_map and settings.map is None:
        problem = "x: the training data has a map function, which a run directory cannot store"
        raise make_error(ValueError, problem, hint=hint)


def _pipeline(settings: PredictionSettings, source: Source, scales: Scales, batch_size: int | None) -> Pipeline:
    pipeline = PipelineSettings(
        batch_size=DEFAULT_BATCH_SIZE if batch_size is None else check_batch_size(batch_size),
        map=settings.map,
        scales=scales,
        rescale=settings.rescales_images,
        target=settings.target,
        target_scales=settings.target_scales,
    )
    return Pipeline(source, pipeline)
