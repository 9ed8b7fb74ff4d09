"""Which data set a name means: TFDS's catalogue and what is bundled. Nothing here needs a network."""

from __future__ import annotations

import dataclasses
import difflib
import os
import pathlib
import re
from typing import Any

from deepkit.data import bundled
from deepkit.data.errors import DataError
from deepkit.data.read import quiet

# A newer TFDS may bring a newer version of a data set, with other examples or in another order.
PINNED = {
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
_NOWHERE = pathlib.Path(os.sep, "nonexistent", "deepkit")  # TFDS looks for a copy as it makes a builder


@dataclasses.dataclass(frozen=True)
class Entry:
    """A data set of TFDS's catalogue, or one whose prepared folder was found.

    Args:
        name: with its configuration, as in "glue/sst2".
        version: as in "2.0.0".
        builder: TFDS's class that can prepare it; None where there is only the folder.

    """

    name: str
    version: str
    builder: Any = None

    def folder(self, root: pathlib.Path) -> pathlib.Path:
        """Return where the prepared files lie under a data folder."""
        return root.joinpath(*self.name.split("/"), self.version)

    def make(self, root: pathlib.Path) -> Any:
        """Make TFDS's builder for a data folder."""
        return _builder(self.builder, self.name.partition("/")[2], self.version, root)


def roots(data_dir: str | os.PathLike[str] | None) -> list[pathlib.Path]:
    """List the folders to look in: the one given, or else `TFDS_DATA_DIR` and TFDS's default.

    Args:
        data_dir: a data folder, or None.

    Returns:
        At least one folder; the first is where a download would go.

    Raises:
        DataError: if the folder given is a file.

    """
    named = data_dir if data_dir is not None else os.environ.get("TFDS_DATA_DIR")
    found = [pathlib.Path(named).expanduser()] if named else []
    if found and found[0].exists() and not found[0].is_dir():
        raise DataError(f"the data folder {found[0]} is a file; give the folder that holds the prepared data sets")
    return found if data_dir is not None else [*found, pathlib.Path.home() / "tensorflow_datasets"]


def resolve(name: str, where: list[pathlib.Path]) -> Entry:
    """Find out which data set, configuration and version a name means.

    Args:
        name: "mnist", "glue/sst2", "mnist:3.0.1", "glue/sst2:2.0.0".
        where: the data folders, for data sets that TFDS has no code for.

    Returns:
        The entry; nothing has been read yet.

    Raises:
        ValueError: if there is no such data set, configuration or version; with the nearest that there are.

    """
    import tensorflow_datasets as tfds

    match = _NAME.fullmatch(name)
    if not match:
        raise ValueError(
            f"{name!r} is no name of a data set; expected forms like 'mnist', 'glue/sst2' or 'mnist:3.0.1'"
        )
    base, config, version = match["base"], match["config"], match["version"]
    known = tfds.list_builders(with_community_datasets=False)
    if base in known:
        return _from_code(tfds.builder_cls(base), base, config, version, where)
    if entry := _from_folder("/".join(filter(None, (base, config))), version, where):
        return entry
    near = difflib.get_close_matches(base, [*known, *bundled.NAMES], n=3)
    suggestion = (
        f"did you mean {' or '.join(map(repr, near))}?" if near else "see tensorflow.org/datasets/catalog for all names"
    )
    raise ValueError(f"no data set is called {name!r}; {suggestion} Bundled: {', '.join(bundled.NAMES)}")


def _from_code(cls: Any, base: str, config: str | None, version: str | None, where: list[pathlib.Path]) -> Entry:
    configs = list(dict.fromkeys(config.name for config in cls.BUILDER_CONFIGS))
    if config is not None and configs and config not in configs:
        near = difflib.get_close_matches(config, configs, n=3) or configs[:5]
        raise ValueError(f"{base} has no configuration {config!r}; nearest of {len(configs)}: {', '.join(near)}")
    if config is not None and not configs:
        raise ValueError(f"{base} has no configurations, so not {config!r} either; load {base!r}")
    wanted = version or PINNED.get(base)
    try:
        builder = _builder(cls, config, wanted, _NOWHERE)
    except (AssertionError, ValueError) as error:  # this TFDS cannot make that version, but a copy may be there
        default = config or (configs[0] if configs else None)
        full = "/".join(filter(None, (base, default)))
        if entry := _from_folder(full, wanted, where):
            return entry
        raise ValueError(f"{full} has no version {wanted} in the installed tensorflow_datasets: {error}") from error
    full = "/".join(filter(None, (base, builder.builder_config and builder.builder_config.name)))
    return Entry(full, str(builder.version), cls)


def _builder(cls: Any, config: str | None, version: str | None, root: pathlib.Path) -> Any:
    with quiet():
        return cls(data_dir=root, config=config or None, version=version)


def _from_folder(name: str, version: str | None, where: list[pathlib.Path]) -> Entry | None:
    for root in where:
        folder = root.joinpath(*name.split("/"))
        versions = [path.name for path in folder.glob("*.*.*") if re.fullmatch(r"\d+\.\d+\.\d+", path.name)]
        if versions and version in (None, *versions):
            newest = max(versions, key=lambda text: tuple(map(int, text.split("."))))
            return Entry(name, version or newest)
    return None
