"""Resolve the name of a dataset to an entry of TFDS's catalog, offline."""

from __future__ import annotations

import dataclasses
import difflib
import os
import pathlib
import re
from typing import TYPE_CHECKING

from deepkit.data import bundled
from deepkit.data.errors import DataError
from deepkit.data.tfds_reader import quiet_tfds
from deepkit.utils.errors import did_you_mean, format_value, message

if TYPE_CHECKING:
    from deepkit.data.tfds_types import Builder, BuilderClass
    from deepkit.utils.types import PathLike

# A newer TFDS may bring a newer version of a dataset, with other examples or in another order.
PINNED_VERSIONS = {
    "bccd": "1.0.0",
    "binarized_mnist": "1.0.0",
    "cifar10": "3.0.2",
    "cifar100": "3.0.2",
    "fashion_mnist": "3.0.1",
    "glue": "2.0.0",
    "imdb_reviews": "1.0.0",
    "mnist": "3.0.1",
    "omniglot": "3.0.0",
    "oxford_flowers102": "2.1.1",
    "oxford_iiit_pet": "4.0.0",
    "stl10": "1.0.0",
    "svhn_cropped": "3.1.0",
    "tiny_shakespeare": "1.0.0",
}
_NAME = re.compile(r"(?P<base>\w+)(/(?P<config>[\w.\-]+))?(:(?P<version>\d+\.\d+\.\d+))?")
_NO_FOLDER = pathlib.Path(os.sep, "nonexistent", "deepkit")  # TFDS looks for a prepared copy when it creates a builder


@dataclasses.dataclass(frozen=True)
class CatalogEntry:
    """A version of a dataset in TFDS's catalog, or in a prepared folder.

    Args:
        name: Name with the configuration, such as "glue/sst2".
        version: Version, such as "2.0.0".
        builder_class: TFDS's class that prepares the dataset; None if only the prepared folder is known.
    """

    name: str
    version: str
    builder_class: BuilderClass | None = None

    @property
    def title(self) -> str:
        """Name and version."""
        return f"{self.name} {self.version}"

    def folder(self, data_dir: pathlib.Path) -> pathlib.Path:
        """Return the folder of the prepared files in a data folder."""
        return data_dir.joinpath(*self.name.split("/"), self.version)

    def require_builder_class(self) -> BuilderClass:
        """Return the builder class, or raise a DataError if there is none."""
        if self.builder_class is None:
            raise DataError("TFDS has no code to prepare it")
        return self.builder_class


def data_folders(data_dir: PathLike | None) -> list[pathlib.Path]:
    """List the folders in which to look for prepared datasets.

    Args:
        data_dir: A data folder; None for the folder in `TFDS_DATA_DIR` and TFDS's default folder.

    Returns:
        At least one folder; downloads go to the first one.

    Raises:
        DataError: `data_dir` is a file.
    """
    first = data_dir if data_dir is not None else os.environ.get("TFDS_DATA_DIR")
    folders = [pathlib.Path(first).expanduser()] if first else []
    if folders and folders[0].exists() and not folders[0].is_dir():
        raise DataError(
            f"the data folder {folders[0]} is a file", hint="pass the folder that contains the prepared datasets"
        )
    if data_dir is None:
        folders.append(pathlib.Path.home() / "tensorflow_datasets")
    return folders


def resolve(name: str, folders: list[pathlib.Path]) -> CatalogEntry:
    """Find the dataset, the configuration and the version that a name means.

    Args:
        name: "mnist", "glue/sst2", "mnist:3.0.1", "glue/sst2:2.0.0".
        folders: Data folders, which may contain datasets that TFDS has no code for.

    Returns:
        The entry; no file of the dataset has been read yet.

    Raises:
        ValueError: There is no such dataset, configuration or version.
    """
    import tensorflow_datasets as tfds

    match = _NAME.fullmatch(name)
    if not match:
        problem = f"name must have a form like 'mnist', 'glue/sst2' or 'mnist:3.0.1', received {format_value(name)}"
        raise ValueError(message(problem, hint=folder_hint(name) if _may_be_path(name) else ""))
    base, config, version = match["base"], match["config"], match["version"]
    names = tfds.list_builders(with_community_datasets=False)
    if base in names:
        return _entry_from_code(tfds.builder_cls(base), base, config, version, folders)
    if entry := _entry_from_folder(_full_name(base, config), version, folders):
        return entry
    suggestion = did_you_mean(base, [*names, *bundled.NAMES])
    hint = f"use a name from tensorflow.org/datasets/catalog, or a bundled dataset: {', '.join(bundled.NAMES)}"
    if config or pathlib.Path(name).exists():
        hint = f"{hint}; {folder_hint(name)}"
    raise ValueError(message(f"there is no dataset {name!r}{suggestion}", hint=hint))


def folder_hint(path: str) -> str:
    """Return the hint for a path that was passed as the name of a dataset."""
    return (
        f"use dk.data.from_folder({path!r}, image_size=224) for a folder of images, "
        f"dk.data.from_table({path!r}, target=...) for a CSV file"
    )


def make_builder(
    builder_class: BuilderClass, config: str | None, version: str | None, data_dir: pathlib.Path
) -> Builder:
    """Return TFDS's builder for a data folder."""
    with quiet_tfds():
        return builder_class(data_dir=data_dir, config=config or None, version=version)


def _entry_from_code(
    builder_class: BuilderClass, base: str, config: str | None, version: str | None, folders: list[pathlib.Path]
) -> CatalogEntry:
    configs = list(dict.fromkeys(config.name for config in builder_class.BUILDER_CONFIGS))
    _check_config(base, config, configs)
    version = version or PINNED_VERSIONS.get(base)
    try:
        builder = make_builder(builder_class, config, version, _NO_FOLDER)
    except (AssertionError, ValueError) as error:  # this TFDS cannot prepare that version, but a copy may exist
        name = _full_name(base, config or (configs[0] if configs else None))
        if entry := _entry_from_folder(name, version, folders):
            return entry
        raise ValueError(f"{name} has no version {version} in the installed tensorflow_datasets: {error}") from error
    name = _full_name(base, builder.builder_config.name if builder.builder_config else None)
    return CatalogEntry(name, str(builder.version), builder_class)


def _check_config(base: str, config: str | None, configs: list[str]) -> None:
    if config is None or config in configs:
        return
    if not configs:
        raise ValueError(message(f"{base} has no configurations, received {config!r}", hint=f"load {base!r}"))
    examples = difflib.get_close_matches(config, configs, n=3) or configs[:5]
    hint = f"use one of its {len(configs)} configurations, such as {', '.join(examples)}"
    raise ValueError(message(f"{base} has no configuration {config!r}", hint=hint))


def _entry_from_folder(name: str, version: str | None, folders: list[pathlib.Path]) -> CatalogEntry | None:
    for data_dir in folders:
        folder = data_dir.joinpath(*name.split("/"))
        versions = [path.name for path in folder.glob("*.*.*") if re.fullmatch(r"\d+\.\d+\.\d+", path.name)]
        if versions and version in (None, *versions):
            newest = max(versions, key=lambda text: tuple(map(int, text.split("."))))
            return CatalogEntry(name, version or newest)
    return None


def _may_be_path(name: str) -> bool:
    return "/" in name or "\\" in name or name.startswith(("~", ".")) or pathlib.Path(name).suffix != ""


def _full_name(base: str, config: str | None) -> str:
    return f"{base}/{config}" if config else base
