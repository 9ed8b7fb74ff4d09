"""Protocols for the objects of tensorflow_datasets, which has no types."""

from __future__ import annotations

import pathlib
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

if TYPE_CHECKING:
    from deepkit.utils.types import Dataset

FeatureKeys: TypeAlias = str | Sequence["FeatureKeys"] | Mapping[str, "FeatureKeys"]
"""Names of features in the structure of an element, as in `supervised_keys`."""


class FileInstruction(Protocol):
    """Consecutive examples of a file: `take` of them after the first `skip`."""

    filename: str
    skip: int
    take: int


class SplitInfo(Protocol):
    """A split of a prepared dataset."""

    num_examples: int
    filenames: Iterable[str]
    file_instructions: Sequence[FileInstruction]


class DatasetInfo(Protocol):
    """The description of a prepared dataset."""

    full_name: str
    features: Mapping[str, object]
    splits: Mapping[str, SplitInfo]
    supervised_keys: FeatureKeys | None
    file_format: Any
    disable_shuffling: bool


class BuilderConfig(Protocol):
    """A configuration of a dataset."""

    name: str


class Builder(Protocol):
    """A builder of TFDS, which prepares and reads one version of a dataset."""

    name: str
    version: object
    info: DatasetInfo
    builder_config: BuilderConfig | None

    def as_dataset(self, **kwargs: object) -> Dataset:
        """Return a split as a dataset."""

    def download_and_prepare(self, **kwargs: object) -> None:
        """Download and prepare the dataset."""


class BuilderClass(Protocol):
    """A class of builders."""

    BUILDER_CONFIGS: Sequence[BuilderConfig]
    MANUAL_DOWNLOAD_INSTRUCTIONS: str | None
    url_infos: Mapping[str, object] | None

    def __call__(self, *, data_dir: pathlib.Path, config: str | None, version: str | None) -> Builder:
        """Return a builder."""
