"""`from_folder`: build pipelines from the images of a folder."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from deepkit.data import memory
from deepkit.data.augmentation import Augmentation, check_augmentations
from deepkit.data.dataset import Data, RawData, build_data
from deepkit.data.errors import DataError
from deepkit.data.folder_layout import Files, FolderLayout, check_folder, read_layout
from deepkit.data.image_decoding import NUM_CHANNELS, ImageDecoder
from deepkit.data.image_files import FORMAT_TEXT, ImageFile, UnreadableFile, inspect_files
from deepkit.data.image_geometry import RESIZE_MODES
from deepkit.data.image_source import ImageSource, decode_all, unreadable_error
from deepkit.data.images import check_image_size
from deepkit.data.pipeline_settings import PipelineSettings, check_batch_size, check_seed
from deepkit.data.stratified_split import check_amount, hashed_order, split_by_class
from deepkit.utils import console as _console
from deepkit.utils.errors import message
from deepkit.utils.validation import check_choice, check_flag

if TYPE_CHECKING:
    from deepkit.utils.types import PathLike

Images = Mapping[str, Mapping[str, Sequence[ImageFile]]]
"""For each split its classes, and for each class its images."""

_MAX_LISTED = 5


def from_folder(
    path: PathLike,
    *,
    image_size: int | tuple[int, int],
    validation: float = 0.0,
    test: float = 0.0,
    resize: str = "crop",
    color_mode: str = "rgb",
    batch_size: int = 32,
    seed: int = 0,
    augment: Iterable[Augmentation] = (),
    map: Callable[[Any], Any] | None = None,
    shuffle: bool = True,
    name: str | None = None,
    verbose: bool = True,
) -> Data:
    """Build pipelines from a folder of images.

    The folder has one folder per class (`pets/cats/1.jpg`), or one folder per split with class folders inside
    (`pets/train/cats/1.jpg`; the splits are `train`, `validation` or `val`, and `test`). A class folder may have
    folders of its own. The labels are the positions of the classes in the sorted order of their names.

    JPEG, PNG, BMP and GIF files (of a GIF, the first image) are recognized by their content. An orientation in EXIF
    is applied, CMYK is converted, 16 bits are reduced to 8, and transparent pixels are composited on white unless
    `color_mode` is "rgba". Hidden files such as `.DS_Store` are skipped; other files are named in a message.

    The pipelines yield uint8 images: `dk.fit` puts their rescaling into the model, so that `predict` takes raw
    images. Images that fit into memory are decoded once; others are decoded again in each epoch, in the same order
    and with the same pixels.

    Args:
        path: The folder.
        image_size: Number of pixels, or (height, width), of all images.
        validation: Fraction of each class, or number of images in all, to take from the training images.
        test: Fraction or number of training images for the test split. The split is stratified by class and depends
            only on the names of the files and `seed`. Leave both at 0 if there are folders for these splits.
        resize: "crop" takes the largest centered region with the aspect ratio of `image_size`, "pad" resizes the
            whole image and adds black borders (transparent ones for "rgba"), "stretch" ignores the aspect ratio.
            Images are averaged over areas if they become half as large or smaller, otherwise interpolated linearly.
        color_mode: "rgb", "grayscale" or "rgba", as in Keras.
        batch_size: Number of images in a batch.
        seed: Seed of the split, the order and the augmentations.
        augment: Augmentations of the training images, in their scale of 0 to 255.
        map: Function that receives a batch of images of any split, float32 from 0 to 255, and returns the input of
            the model, e.g. a `preprocess_input` of keras.applications.
        shuffle: Whether to shuffle the training images anew in each epoch. Without, the order is a fixed random one.
        name: Name of the data; None for the name of the folder.
        verbose: Whether to print the line of `Data.describe`, and a message about files that are not images.

    Returns:
        A `Data` with `class_names`.

    Raises:
        DataError: There is no such folder, a class is empty, the classes of the splits differ, or images are damaged.
        TypeError: An element of `augment` is not an augmentation.
        ValueError: An argument is out of range, or contradicts the folders.

    Examples:
        >>> import keras, pathlib, tempfile, numpy as np, deepkit as dk
        >>> folder = pathlib.Path(tempfile.mkdtemp(), "shapes")
        >>> for file in (
        ...     "circles/1.png",
        ...     "circles/2.png",
        ...     "squares/1.png",
        ...     "squares/2.png",
        ... ):
        ...     (folder / file).parent.mkdir(parents=True, exist_ok=True)
        ...     keras.utils.save_img(folder / file, np.zeros((30, 40, 3)))
        >>> data = dk.data.from_folder(
        ...     folder, image_size=24, validation=0.5, verbose=False
        ... )
        >>> data.summary(), data.class_names, data.input_shape
        ('shapes: 2 train, 2 validation', ('circles', 'squares'), (24, 24, 3))
    """
    settings = PipelineSettings(check_batch_size(batch_size), check_seed(seed), map=map)
    augmentations = check_augmentations(augment)
    size = check_image_size(image_size)
    check_choice(resize, "resize", RESIZE_MODES)
    check_choice(color_mode, "color_mode", tuple(NUM_CHANNELS))
    check_flag(shuffle, "shuffle")
    amounts = {"validation": check_amount(validation, "validation"), "test": check_amount(test, "test")}
    folder = check_folder(path, example='dk.data.from_folder("data/pets", image_size=224)')
    layout = read_layout(folder)
    _check_amounts(layout, amounts, folder)
    images, skipped = _inspect(layout, folder)
    sources, note = _make_sources(_split(images, amounts, settings.seed), size, resize, color_mode)
    class_names = tuple(images["train"])
    raw = RawData(
        name=name or folder.resolve().name or "folder",
        version="",
        source="folder",
        origin=f"images in {os.fspath(path)}; {_describe_classes(class_names)}",
        sources=sources,
        scales=1 / 255,
        rescale=False,
        num_classes=len(class_names),
        class_names=class_names,
    )
    data = build_data(raw, settings, augmentations, bool(shuffle))
    if verbose:
        for text in describe_skipped(folder, skipped, layout.skipped):
            _console.echo(text)
        _console.echo(data.describe())
        if note:  # not a part of the description: it depends on the memory that is free
            _console.echo(note)
    return data


def _check_amounts(layout: FolderLayout, amounts: Mapping[str, float], folder: Path) -> None:
    """Raise if an argument asks for a split that has its own folder."""
    for split, amount in amounts.items():
        if layout.has_split_folders and split in layout.splits and amount:
            problem = f"{split}={amount!r}: {folder} has a folder for the {split} split"
            raise ValueError(message(problem, hint=f"leave {split}= out, or remove that folder"))


def _inspect(layout: FolderLayout, folder: Path) -> tuple[Images, list[str]]:
    """Return the images, and the names of the files that are not images.

    Raises:
        DataError: Images are damaged, or classes are empty or missing.
    """
    files: Files = [file for classes in layout.splits.values() for listed in classes.values() for file in listed]
    inspected = dict(zip(files, inspect_files(files), strict=True))
    unreadable = [result for result in inspected.values() if isinstance(result, UnreadableFile)]
    if unreadable:
        raise unreadable_error(unreadable, sum(result is not None for result in inspected.values()))
    images: dict[str, dict[str, list[ImageFile]]] = {}
    for split, classes in layout.splits.items():
        results = {name: [inspected[file] for file in listed] for name, listed in classes.items()}
        images[split] = {
            name: [image for image in listed if isinstance(image, ImageFile)] for name, listed in results.items()
        }
    _check_same_classes(images, folder)
    _check_no_empty_class(images, layout, folder)
    return images, [name for (_, name), result in inspected.items() if result is None]


def _check_same_classes(images: Images, folder: Path) -> None:
    expected = set(images["train"])
    for split, classes in images.items():
        missing, extra = sorted(expected - set(classes)), sorted(set(classes) - expected)
        if missing or extra:
            parts = [f"lack {names_text(missing)}"] if missing else []
            parts += [f"have {names_text(extra)}, which the train split lacks"] if extra else []
            problem = f"{folder}: the classes of the {split} split {' and '.join(parts)}"
            raise DataError(problem, hint="use the same class folders in every split")


def _check_no_empty_class(images: Images, layout: FolderLayout, folder: Path) -> None:
    empty = []
    for split, classes in images.items():
        prefix = f"{split}: " if layout.has_split_folders else ""
        for name, listed in classes.items():
            if not listed:
                others = [file_name.rpartition("/")[2] for _, file_name in layout.splits[split][name]]
                contents = f"other files, such as {others[0]}" if others else "no files"
                empty.append(f"{prefix}{name!r} ({contents})")
    if empty:
        problem = f"{folder}: no {FORMAT_TEXT} image in {names_text(empty)}"
        raise DataError(problem, hint="add images to these class folders, or remove them")


def _split(images: Images, amounts: Mapping[str, float], seed: int) -> dict[str, list[tuple[ImageFile, int]]]:
    """Return the images of each split with their labels; their order mixes the classes.

    The order has a hash of its own: with that of the split, the first images would be those of few classes, as each
    class has its own bounds.
    """
    train_names = {name: [image.name for image in listed] for name, listed in images["train"].items()}
    splits = split_by_class(train_names, seed=seed, **amounts)
    for split, classes in images.items():
        if split != "train":
            splits[split] = [image.name for listed in classes.values() for image in listed]
    labeled: dict[str, tuple[ImageFile, int]] = {}
    for classes in images.values():
        for label, name in enumerate(images["train"]):
            labeled |= {image.name: (image, label) for image in classes[name]}
    return {
        split: [labeled[name] for name in hashed_order(names, seed, salt="order")] for split, names in splits.items()
    }


def _make_sources(
    splits: Mapping[str, Sequence[tuple[ImageFile, int]]], size: tuple[int, int], resize: str, color_mode: str
) -> tuple[dict[str, ImageSource], str]:
    """Return the source of each split, decoded if all fit into memory, and a note if they do not."""
    files = {split: [image for image, _ in labeled] for split, labeled in splits.items()}
    decoder = ImageDecoder([image for listed in files.values() for image in listed], size, resize, color_mode)
    required = len(decoder.files) * math.prod(decoder.shape)
    note, decoded = "", None
    if memory.fits_in_memory(required):
        decoded = decode_all(decoder)
    else:
        note = (
            f"the images are decoded again in each epoch: they need {memory.format_bytes(required)} of memory, and "
            f"{memory.format_bytes(memory.available_bytes())} are free; dk.data.write_records stores decoded images"
        )
    sources, start = {}, 0
    for split, labeled in splits.items():
        stop = start + len(labeled)
        images = None if decoded is None else decoded[start:stop]
        labels = np.array([label for _, label in labeled], "int32")
        sources[split] = ImageSource(ImageDecoder(files[split], size, resize, color_mode), labels, images)
        start = stop
    return sources, note


def _describe_classes(names: Sequence[str]) -> str:
    return f"{len(names):,} class{'es' if len(names) > 1 else ''}: {names_text(names, 10)}"


def describe_skipped(folder: Path, other_files: Sequence[str], outside: Sequence[str]) -> list[str]:
    """Return messages about files that are not used.

    Args:
        folder: The folder.
        other_files: Names of the files that are not images.
        outside: Names of the files and links outside the class folders.
    """
    texts = []
    if other_files:
        count = f"{len(other_files):,} file{'s' if len(other_files) > 1 else ''}"
        texts.append(f"{folder}: ignored {count} without a {FORMAT_TEXT} image: {names_text(other_files)}")
    if outside:
        count = f"{len(outside):,} file{'s or links' if len(outside) > 1 else ' or link'}"
        texts.append(f"{folder}: ignored {count} outside the class folders: {names_text(outside)}")
    return texts


def names_text(names: Sequence[str], limit: int = _MAX_LISTED) -> str:
    """Return the first names, and the number of further ones, as text."""
    more = f" and {len(names) - limit:,} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more
