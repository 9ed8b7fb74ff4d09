"""Paths of image files as the inputs of a model that was trained on a folder of images."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deepkit.data.errors import DataError
from deepkit.data.folder_layout import list_files
from deepkit.data.image_decoding import ImageDecoder
from deepkit.data.image_files import FORMAT_TEXT, ImageFile, UnreadableFile, inspect_files
from deepkit.data.image_folder import describe_skipped, names_text
from deepkit.data.image_source import ImageSource, unreadable_error
from deepkit.utils.console import echo

if TYPE_CHECKING:
    from deepkit.data.image_decoding import ImageSettings
    from deepkit.utils.types import PathLike


def paths_as_images(settings: ImageSettings | None, x: Any) -> ImageSource | None:
    """Return the images of files, which are decoded batch by batch as the training images; None for other data.

    Files of a folder that are not images are printed.

    Args:
        settings: The settings that decoded the training images; None if they are not a folder of images.
        x: The path of an image or of a folder of images, or several paths of images as a list, a tuple or an array.
            A folder is searched with the folders inside; hidden files are skipped. Other data.

    Raises:
        DataError: There is no image, or files cannot be read; it names them.

    Examples:
        >>> import keras, tempfile, numpy as np
        >>> from deepkit.data.image_decoding import ImageSettings
        >>> folder = Path(tempfile.mkdtemp())
        >>> for name in ("b.png", "a.png"):
        ...     keras.utils.save_img(folder / name, np.zeros((30, 40, 3)))
        >>> source = paths_as_images(ImageSettings((8, 8), "crop", "rgb"), folder)
        >>> [file.name for file in source.decoder.files], source.decoder.shape
        (['a.png', 'b.png'], (8, 8, 3))
    """
    if settings is None:
        return None
    if isinstance(x, list | tuple) and not x:
        raise DataError("x: received an empty list of images", hint="check the folder and the pattern of glob")
    if not is_paths(x):
        return None
    images = _images_at(x) if _is_path(x) else _images_of_files(list(x))
    return ImageSource(ImageDecoder(images, settings.image_size, settings.resize, settings.color_mode))


def listed_paths(x: Any) -> Any:
    """Return the paths of an iterator, such as `Path.glob` returns, as a list; other data is returned unchanged.

    Examples:
        >>> listed_paths(iter(["1.png", "2.png"]))
        ['1.png', '2.png']
    """
    if not isinstance(x, Iterator):
        return x
    first = list(itertools.islice(x, 1))
    items = itertools.chain(first, x)
    return list(items) if not first or _is_path(first[0]) else items


def is_paths(x: Any) -> bool:
    """Return whether a value is a string or a path, or a list, a tuple or an array of them.

    Examples:
        >>> (
        ...     is_paths("new/1.png"),
        ...     is_paths([Path("1.png"), "2.png"]),
        ...     is_paths([1, 2]),
        ...     is_paths([]),
        ... )
        (True, True, False, False)
    """
    if _is_path(x):
        return True
    is_array = getattr(x, "ndim", 0) == 1 and getattr(getattr(x, "dtype", None), "kind", "") in ("U", "O")
    if not is_array and not isinstance(x, list | tuple):
        return False
    return len(x) > 0 and all(map(_is_path, x))


def _is_path(x: object) -> bool:
    return isinstance(x, str) or (isinstance(x, os.PathLike) and isinstance(os.fspath(x), str))


def _images_at(path: PathLike) -> list[ImageFile]:
    """Return the image at a path, or the images of the folder at the path."""
    text = os.path.expanduser(path)
    if text and os.path.isdir(text):
        return _images_of_folder(Path(text))
    if not os.path.exists(text):
        hint = f"pass the path of an image or of a folder of images; relative paths begin at {os.getcwd()}"
        raise DataError(f"x: there is no file or folder {os.fspath(path)!r}", hint=hint)
    return _images_of_files([path])


def _images_of_folder(folder: Path) -> list[ImageFile]:
    files = list_files(folder)
    results = inspect_files(files)
    damaged = [result for result in results if isinstance(result, UnreadableFile)]
    if damaged:
        raise unreadable_error(damaged, sum(result is not None for result in results))
    images = [result for result in results if isinstance(result, ImageFile)]
    others = [name for (_, name), result in zip(files, results, strict=True) if result is None]
    if not images:
        content = f"other files: {names_text(others)}" if others else "no files"
        hint = "pass the path of a folder of images, or a list of paths"
        raise DataError(
            f"x: no {FORMAT_TEXT} image in the folder {os.fspath(folder)!r}, which has {content}", hint=hint
        )
    for text in describe_skipped(folder, others, []):
        echo(text)
    return images


def _images_of_files(paths: Sequence[PathLike]) -> list[ImageFile]:
    """Return the image of each path; every file has to be an image."""
    files = [(os.path.expanduser(path), os.fspath(path)) for path in paths]
    results = inspect_files(files)
    images = [result for result in results if isinstance(result, ImageFile)]
    if len(images) == len(files):
        return images
    unreadable = [
        UnreadableFile(name, _reason(path)) if result is None else result
        for (path, name), result in zip(files, results, strict=True)
        if not isinstance(result, ImageFile)
    ]
    raise unreadable_error(unreadable, len(files))


def _reason(path: str) -> str:
    """Return why a path is not that of an image, as text."""
    if os.path.isdir(path):
        return "it is a folder"
    return f"it is not a {FORMAT_TEXT} image" if os.path.exists(path) else "there is no such file"
