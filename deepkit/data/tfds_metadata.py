"""Check the JSON files of a prepared TFDS folder before TFDS reads them: TFDS imports the classes that they name."""

from __future__ import annotations

import json
import pathlib
from collections.abc import Iterator, Mapping

from deepkit.data.errors import DataError, damage_error
from deepkit.utils.errors import format_value

MAX_BYTES = 16_000_000
MAX_DEPTH = 100
_CLASS_KEYS = ("pythonClassName", "python_class_name")
_FEATURE_FILES = ("features.json", "dataset_info.json")  # the files whose features TFDS creates
_METADATA = ("*.json", "*.labels.txt")


def check_metadata(folder: pathlib.Path) -> None:
    """Raise unless the files that describe a dataset are readable and name only classes that TFDS may create.

    Args:
        folder: TFDS folder of one version, e.g. `.../mnist/3.0.1`.

    Raises:
        DataError: A file is too large or is not JSON, or names a class that is not a feature of TFDS, or a file.
    """
    for pattern in _METADATA:
        for path in folder.glob(pattern):
            size = path.stat().st_size
            if size > MAX_BYTES:
                raise damage_error(folder, f"{path.name} has {size:,} bytes, expected at most {MAX_BYTES:,}")
    allowed = _feature_classes()
    for name in _FEATURE_FILES:
        if (folder / name).is_file():
            for mapping in _mappings(_read_json(folder, name), folder, name):
                _check_mapping(mapping, allowed, folder / name)


def _read_json(folder: pathlib.Path, name: str) -> object:
    return _parse((folder / name).read_bytes(), folder, name)


def _parse(text: str | bytes, folder: pathlib.Path, name: str) -> object:
    try:
        return json.loads(text if isinstance(text, str) else text.decode())
    except RecursionError:
        raise damage_error(folder, f"{name} is nested too deeply") from None
    except ValueError as error:
        raise damage_error(folder, f"{name} is not JSON: {error}") from error


def _mappings(value: object, folder: pathlib.Path, name: str, depth: int = 0) -> Iterator[Mapping[str, object]]:
    """Iterate over all mappings in JSON data, also over those in the texts of features that are stored as JSON."""
    if depth > MAX_DEPTH:
        raise damage_error(folder, f"{name} is nested too deeply: expected at most {MAX_DEPTH} levels")
    if isinstance(value, list):
        for item in value:
            yield from _mappings(item, folder, name, depth + 1)
    elif isinstance(value, dict):
        yield value
        for key, item in value.items():
            if key == "json" and isinstance(item, str):
                item = _parse(item, folder, name)
            yield from _mappings(item, folder, name, depth + 1)


def _check_mapping(mapping: Mapping[str, object], allowed: frozenset[str], path: pathlib.Path) -> None:
    """Raise if a mapping names a class that TFDS would import, or a file."""
    class_names = [mapping[key] for key in _CLASS_KEYS if key in mapping and not isinstance(mapping[key], Mapping)]
    if "content" in mapping and not isinstance(mapping.get("type", {}), Mapping):  # the format of TFDS 4.0
        class_names.append(mapping["type"])
    for name in class_names:
        if not isinstance(name, str) or name not in allowed:
            raise DataError(
                f"{path} names the class {format_value(name)}, which is not a feature of tensorflow_datasets; "
                "reading the data would import its module. Nothing was imported.",
                hint=_import_hint(name, path),
            )
    if isinstance(mapping.get("names_file"), str):
        raise DataError(
            f"{path} names the file {format_value(mapping['names_file'])}; only files in its folder may be read",
            hint=f"move the folder {path.parent} away and load again",
        )


def _import_hint(class_name: object, path: pathlib.Path) -> str:
    module, _, _ = class_name.rpartition(".") if isinstance(class_name, str) else ("", "", "")
    move = f"move the folder {path.parent} away and load again"
    return f"if you trust the class, import {module} before you load; otherwise {move}" if module else move


def _feature_classes() -> frozenset[str]:
    """Return the names of TFDS's features, and of those in modules that the program has imported already.

    A feature that has moved to another module also has its earlier names, which older folders contain.
    """
    import tensorflow_datasets as tfds

    classes = [tfds.features.FeatureConnector]
    for cls in classes:  # the list grows
        classes.extend(cls.__subclasses__())
    earlier_names = (name for cls in classes for name in vars(cls).get("ALIASES", ()))
    return frozenset((*(f"{cls.__module__}.{cls.__name__}" for cls in classes), *earlier_names))
