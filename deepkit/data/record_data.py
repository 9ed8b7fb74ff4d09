"""`from_records`: build pipelines from a folder of record files."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from deepkit.data.augmentation import Augmentation, check_augmentations
from deepkit.data.dataset import Data, RawData, build_data
from deepkit.data.pipeline_settings import PipelineSettings, check_batch_size, check_seed
from deepkit.data.record_index import read_index
from deepkit.data.record_source import RecordSource
from deepkit.data.splits import num_validation_examples
from deepkit.data.user_arrays import check_sorted_labels
from deepkit.utils import console as _console
from deepkit.utils.errors import format_value, make_error
from deepkit.utils.files import expand_user
from deepkit.utils.validation import check_flag

if TYPE_CHECKING:
    from deepkit.utils.types import PathLike


def from_records(
    folder: PathLike,
    *,
    validation: float = 0.0,
    batch_size: int = 32,
    map: Callable[[Any], Any] | None = None,
    augment: Iterable[Augmentation] = (),
    seed: int = 0,
    shuffle: bool = True,
    name: str | None = None,
    verbose: bool = True,
) -> Data:
    """Build pipelines from record files, for data that does not fit into memory.

    The examples stay on the disk. Each epoch reads them in the order of a uniform permutation, which depends on
    (seed, epoch) only: the batches equal those of the same arrays in memory, and training resumes exactly. Records
    are read and decoded in parallel while the model trains. A checksum of each record is verified when it is read.

    Args:
        folder: The folder that `write_records` wrote.
        validation: Number (int) or fraction (float) of examples to take from the end of the training split. Leave it
            at 0 if the folder has a validation split.
        batch_size: Number of examples in a batch, 32 by default as in Keras.
        map: Function that receives a batch of x of any split and returns the input of the model; it receives uint8
            images as float32 from 0 to 255.
        augment: Augmentations of the training images, in their own scale (0 to 255 for uint8).
        seed: Seed of the order and of the augmentations.
        shuffle: Whether to shuffle the training examples anew in each epoch.
        name: Name of the data; None for the name with which it was written.
        verbose: Whether to print the line of `Data.describe`.

    Returns:
        A `Data` with the splits, the class names and the columns that were written.

    Raises:
        DataError: There is no such folder, or its files are incomplete or damaged.
        TypeError: An element of `augment` is not an augmentation.
        ValueError: An argument is out of range, or contradicts the folder.

    Examples:
        >>> import pathlib, tempfile, numpy as np, deepkit as dk
        >>> folder = pathlib.Path(tempfile.mkdtemp(), "numbers")
        >>> x, y = np.arange(100.0)[:, None], np.arange(100) % 2
        >>> path = dk.data.write_records((x, y), folder, verbose=False)
        >>> data = dk.data.from_records(path, validation=0.2, verbose=False)
        >>> data.summary()
        'numbers: 80 train, 20 validation'
    """
    settings = PipelineSettings(check_batch_size(batch_size), check_seed(seed), map=map)
    augmentations = check_augmentations(augment)
    check_flag(shuffle, "shuffle")
    path = _check_folder(folder)
    index = read_index(path)
    sources = {split: RecordSource(path, split, item, index.format) for split, item in index.splits.items()}
    if validation:
        if "validation" in sources:
            problem = f"validation={validation!r}: {path} has a validation split"
            raise make_error(ValueError, problem, hint="leave validation= out")
        sources |= _split(sources["train"], validation)
    raw = RawData(
        name=name or index.name,
        version=index.version,
        source="records",
        origin=f"records in {os.fspath(folder)}",
        sources=sources,
        scales=index.scales,
        rescale=index.rescale,
        num_classes=index.num_classes,
        class_names=index.class_names,
        columns=index.columns,
    )
    data = build_data(raw, settings, augmentations, bool(shuffle))
    if verbose:
        _console.echo(data.describe())
    return data


def _check_folder(folder: object) -> Any:
    if isinstance(folder, str | os.PathLike):
        return expand_user(folder)
    problem = f"folder must be the path of a folder, received {format_value(folder)}"
    raise make_error(TypeError, problem, hint='pass the folder of dk.data.write_records(data, "records/pets")')


def _split(train: RecordSource, validation: object) -> dict[str, RecordSource]:
    """Return the sources of "train" and "validation"."""
    num_validation = num_validation_examples(validation, train.num_examples)
    num_training = train.num_examples - num_validation
    splits = {"train": train.part(0, num_training), "validation": train.part(num_training, num_validation)}
    if train.labels is not None:
        element, parts = (None, train.labels), {split: (None, source.labels) for split, source in splits.items()}
        check_sorted_labels(element, parts, f"validation={validation!r}")
    return splits
