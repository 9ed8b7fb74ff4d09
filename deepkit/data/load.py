"""`load`: a data set by name, decided in seconds and said aloud."""

from __future__ import annotations

import dataclasses
import os
import pathlib
from collections.abc import Callable, Iterable
from typing import Any

from deepkit.data import augment as augmentation
from deepkit.data import bundled, download, read
from deepkit.data import catalog as catalogue
from deepkit.data.dataset import Data, Found, assemble
from deepkit.data.errors import DataError
from deepkit.data.settings import Settings, check_batch_size, check_seed
from deepkit.utils import console as _console


def load(
    name: str,
    *,
    batch_size: int = 128,
    validation: float | None = None,
    image_size: int | tuple[int, int] | None = None,
    map: Callable[[Any], Any] | None = None,
    augment: Iterable[augmentation.Augmentation] = (),
    seed: int = 0,
    data_dir: str | os.PathLike[str] | None = None,
    fallback: str | None = None,
    verbose: bool = True,
) -> Data:
    """Load a data set by name: a prepared copy if there is one, else a download if the network answers.

    Names are those of TFDS's catalogue ("mnist", "glue/sst2", "mnist:3.0.1"; the versions of the common ones are
    pinned) and of what comes with scikit-learn ("digits", "iris", "wine", "breast_cancer"). Prepared copies are
    looked for in `data_dir`, or else in the folder that the environment variable TFDS_DATA_DIR names and in
    `~/tensorflow_datasets`. Data that fits into memory is decoded once and kept there, other data is read anew
    in each epoch. Training, validation and test data never overlap.

    Args:
        name: of the data set.
        batch_size: examples in a batch.
        validation: a number of examples (int) or a fraction (float) taken from the end of the training split;
            0 for none; None for the data set's own validation split, or else a tenth.
        image_size: resizes images to this many pixels, or (height, width); needed where images differ in size.
        map: from a whole batch of x to what the model gets, e.g. a `preprocess_input` of keras.applications.
            Images come to it as float32 from 0 to 255; without it they come out as float32 in [0, 1].
        augment: augmentations of the training images, in their scale of 0 to 255.
        seed: of the order and the augmentations.
        data_dir: the folder with the prepared data sets, and where a download goes.
        fallback: a bundled data set to use instead where this one cannot be had. Never used for a copy that is
            there but damaged. A number of validation examples becomes a tenth then.
        verbose: whether to print the line of `Data.describe`.

    Returns:
        A `Data`; `stand_in_for` is `name` if the fallback was taken.

    Raises:
        DataError: if the data set is not there and cannot be downloaded, or its files are damaged.
        TypeError: if an augmentation is none.
        ValueError: if a name is unknown, or a number makes no sense.

    Examples:
        >>> import deepkit as dk
        >>> data = dk.data.load("digits", image_size=28, augment=[dk.data.Shift(2)], verbose=False)
        >>> data.describe().split(";")[0]
        'digits: 1,350 train, 150 validation, 297 test'

    """
    settings = Settings(check_batch_size(batch_size), check_seed(seed), map=map)
    chain = augmentation.check(augment)
    size = _size(image_size)
    if fallback is not None and fallback not in bundled.NAMES:
        raise ValueError(f"fallback must be bundled ({', '.join(bundled.NAMES)}), received {fallback!r}")
    found = _find(name, validation, size, data_dir, fallback, verbose)
    stand_in_for = name if fallback is not None and found.name != name and found.source == "bundled" else None
    data = assemble(found, settings, chain, stand_in_for=stand_in_for)
    if verbose:
        _console.echo(data.describe())
    return data


def _find(
    name: str, validation: Any, size: tuple[int, int] | None, data_dir: Any, fallback: str | None, verbose: bool
) -> Found:
    if not isinstance(name, str):
        raise TypeError(f"name must be text such as 'mnist', received {name!r}")
    if name in bundled.NAMES:
        return bundled.find(name, validation, size)
    where = catalogue.roots(data_dir)
    entry = catalogue.resolve(name, where)
    for root in where:
        folder = entry.folder(root)
        if (folder / "dataset_info.json").is_file():
            return read.find(folder, validation, size)
        if folder.exists():
            raise read.damaged(folder, "dataset_info.json is missing")
    try:
        folder = _downloaded(entry, where, verbose)
    except DataError as error:
        if fallback is None:
            raise
        return _stand_in(fallback, validation, size, name, str(error))
    found = read.find(folder, validation, size)
    return dataclasses.replace(
        found, source="downloaded", origin=found.origin.replace("prepared copy", "downloaded", 1)
    )


def _downloaded(entry: catalogue.Entry, where: list[pathlib.Path], verbose: bool) -> pathlib.Path:
    looked = f"no prepared copy in {' or '.join(str(entry.folder(root)) for root in where)}"
    hint = "name a data folder with data_dir= or TFDS_DATA_DIR, connect to a network, or give fallback='digits'"
    title = f"{entry.name} {entry.version}"
    if entry.builder is None:
        raise DataError(f"{title} cannot be had: {looked}, and TFDS has no code to prepare it; {hint}")
    if by_hand := download.manual_instructions(entry, where[0]):
        raise DataError(f"{title} cannot be had: {looked}, and {by_hand}")
    if not download.answering(download.urls(entry)):
        raise DataError(f"{title} cannot be had: {looked}, and the network does not answer; {hint}")
    if verbose:
        _console.echo(f"downloading {title} to {entry.folder(where[0])}")
    try:
        return download.prepare(entry, where[0])
    except DataError as error:
        raise DataError(f"{title} cannot be had: {looked}, and {error}; {hint}") from error


def _stand_in(fallback: str, validation: Any, size: tuple[int, int] | None, name: str, why: str) -> Found:
    whole_number = isinstance(validation, int) and validation > 0
    found = bundled.find(fallback, None if whole_number else validation, size if fallback == "digits" else None)
    reason = why.partition("cannot be had: ")[2].partition("; ")[0]
    origin = f"{found.origin}, standing in for {name} ({reason}): results are not comparable with {name}"
    return dataclasses.replace(found, origin=origin)


def _size(image_size: Any) -> tuple[int, int] | None:
    if image_size is None:
        return None
    sides = (image_size, image_size) if not isinstance(image_size, tuple | list) else tuple(image_size)
    if len(sides) != 2 or any(isinstance(side, bool) or not isinstance(side, int) or side < 1 for side in sides):
        raise ValueError(f"image_size must be a number of pixels above 0, or (height, width), received {image_size!r}")
    return sides
