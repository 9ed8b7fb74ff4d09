"""`load`: load a dataset by its name."""

from __future__ import annotations

import dataclasses
import os
import pathlib
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from deepkit.data import bundled, catalog, download
from deepkit.data.augmentation import Augmentation, check_augmentations
from deepkit.data.dataset import Data, RawData, build_data
from deepkit.data.download_folder import remove_stale_folders
from deepkit.data.errors import DataError, damage_error
from deepkit.data.images import check_image_size
from deepkit.data.pipeline_settings import PipelineSettings, check_batch_size, check_seed
from deepkit.data.prepared import read_prepared
from deepkit.utils import console as _console
from deepkit.utils.errors import format_value, message
from deepkit.utils.validation import check_choice, check_integer, is_integer

if TYPE_CHECKING:
    from deepkit.utils.types import PathLike

_HINT = "set data_dir= or TFDS_DATA_DIR to a data folder, connect to the internet, or pass fallback='digits'"


def load(
    name: str,
    *,
    batch_size: int = 32,
    validation: float | None = None,
    image_size: int | tuple[int, int] | None = None,
    map: Callable[[Any], Any] | None = None,
    augment: Iterable[Augmentation] = (),
    seed: int = 0,
    num_examples: int | None = None,
    data_dir: PathLike | None = None,
    fallback: str | None = None,
    verbose: bool = True,
) -> Data:
    """Load a dataset by its name: from a prepared copy if there is one, else by a download.

    Names are those of TFDS's catalog ("mnist", "glue/sst2", "mnist:3.0.1"; the versions of common datasets are
    pinned) and of the datasets of scikit-learn ("digits", "iris", "wine", "breast_cancer"). `load` looks for
    prepared copies in `data_dir`, or else in the folder that the environment variable TFDS_DATA_DIR names and in
    `~/tensorflow_datasets`. It decodes data that fits into memory once and keeps it there; it reads other data
    again in each epoch. Training, validation and test data never overlap. Folders that interrupted downloads of the
    dataset left are removed.

    Args:
        name: Name of the dataset.
        batch_size: Number of examples in a batch, 32 by default as in Keras.
        validation: Number (int) or fraction (float) of examples to take from the end of the training split; 0 for
            none; None for the validation split of the dataset, or a tenth if it has none.
        image_size: Number of pixels, or (height, width), to resize images to; required if images differ in size.
        map: Function that receives a batch of x and returns the input of the model, e.g. a `preprocess_input` of
            keras.applications. It receives images as float32 from 0 to 255; without `map`, images are float32 in
            [0, 1].
        augment: Augmentations of the training images, in their scale of 0 to 255.
        seed: Seed of the order and of the augmentations.
        num_examples: Largest number of examples of each split to read, for a quick trial; None for all. They are the
            first ones of each split, as for `Data.head`, which reads all examples.
        data_dir: Folder with the prepared datasets, to which downloads go.
        fallback: Bundled dataset to use if the requested one is not available. It never replaces a copy that
            exists but is damaged. If `validation` is a number of examples, a tenth of the fallback is used instead.
        verbose: Whether to print the line of `Data.describe`.

    Returns:
        A `Data`; its `stand_in_for` is `name` if the fallback was used.

    Raises:
        DataError: The dataset is neither prepared nor downloadable, or its files are damaged.
        TypeError: An element of `augment` is not an augmentation.
        ValueError: A name is unknown, or an argument is out of range.

    Examples:
        >>> import deepkit as dk
        >>> data = dk.data.load(
        ...     "digits", image_size=28, augment=[dk.data.Shift(2)], verbose=False
        ... )
        >>> data.describe().split(";")[0]
        'digits: 1,350 train, 150 validation, 297 test'
    """
    settings = PipelineSettings(check_batch_size(batch_size), check_seed(seed), map=map)
    augmentations = check_augmentations(augment)
    size = None if image_size is None else check_image_size(image_size)
    if fallback is not None:
        check_choice(fallback, "fallback", bundled.NAMES)
    if num_examples is not None:
        num_examples = check_integer(num_examples, "num_examples", minimum=1)
    raw, stand_in_for = _read(name, validation, size, num_examples, data_dir, fallback, verbose)
    data = build_data(raw, settings, augmentations, stand_in_for=stand_in_for)
    if num_examples is not None:
        data = data.head(num_examples)  # bundled data is read in full
    if verbose:
        _console.echo(data.describe())
    return data


def _read(
    name: str,
    validation: object,
    size: tuple[int, int] | None,
    num_examples: int | None,
    data_dir: PathLike | None,
    fallback: str | None,
    verbose: bool,
) -> tuple[RawData, str | None]:
    """Return a dataset, and the requested name if the fallback replaces it."""
    if not isinstance(name, str):
        problem = f"name must be a string such as 'mnist', received {format_value(name)}"
        raise TypeError(message(problem, hint=catalog.folder_hint(str(name)) if isinstance(name, os.PathLike) else ""))
    if name in bundled.NAMES:
        return bundled.read_bundled(name, validation, size), None
    folders = catalog.data_folders(data_dir)
    entry = catalog.resolve(name, folders)
    _remove_stale_folders(entry, folders, verbose)
    if folder := _prepared_folder(entry, folders):
        return read_prepared(folder, validation, size, num_examples), None
    try:
        folder = _download(entry, folders[0], verbose)
    except DataError as error:
        searched = " or ".join(str(entry.folder(root)) for root in folders)
        reason = f"no prepared copy in {searched}, and {error.problem}"
        if fallback is not None:
            return _read_fallback(fallback, validation, size, name, reason), name
        raise DataError(f"{entry.title} is not available: {reason}", hint=error.hint or _HINT) from error.__cause__
    raw = read_prepared(folder, validation, size, num_examples)
    origin = raw.origin.replace("prepared copy", "downloaded", 1)
    return dataclasses.replace(raw, source="downloaded", origin=origin), None


def _remove_stale_folders(entry: catalog.CatalogEntry, folders: list[pathlib.Path], verbose: bool) -> None:
    for data_dir in folders:
        for folder in remove_stale_folders(entry, data_dir):
            if verbose:
                _console.echo(f"removed {folder}, which an interrupted download of {entry.title} left")


def _prepared_folder(entry: catalog.CatalogEntry, folders: list[pathlib.Path]) -> pathlib.Path | None:
    for data_dir in folders:
        folder = entry.folder(data_dir)
        if (folder / "dataset_info.json").is_file():
            return folder
        if folder.exists():
            raise damage_error(folder, "dataset_info.json is missing")
    return None


def _download(entry: catalog.CatalogEntry, data_dir: pathlib.Path, verbose: bool) -> pathlib.Path:
    builder_class = entry.require_builder_class()
    if instructions := download.manual_instructions(builder_class, data_dir):
        raise DataError("TFDS cannot download its files", hint=instructions)
    if not download.is_reachable(builder_class.url_infos or ()):
        raise DataError("the server does not answer")
    if verbose:
        _console.echo(f"downloading {entry.title} to {entry.folder(data_dir)}")
    return download.prepare(entry, data_dir)


def _read_fallback(fallback: str, validation: object, size: tuple[int, int] | None, name: str, reason: str) -> RawData:
    is_count = is_integer(validation) and validation > 0  # type: ignore[operator]
    raw = bundled.read_bundled(fallback, None if is_count else validation, size if fallback == "digits" else None)
    origin = f"{raw.origin}, standing in for {name} ({reason}): results are not comparable with {name}"
    return dataclasses.replace(raw, origin=origin)
