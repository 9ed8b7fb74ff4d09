"""`Data`: the training, validation and test pipelines of a dataset, and its metadata."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING

import tensorflow as tf

from deepkit.data.augmentation import Augmentation
from deepkit.data.nested_arrays import inputs_of
from deepkit.data.pipeline import Pipeline
from deepkit.data.pipeline_settings import PipelineSettings
from deepkit.data.sources import Source
from deepkit.utils.display import Displayable
from deepkit.utils.validation import check_choice

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from deepkit.data.nested_arrays import Scales, Shapes
    from deepkit.data.table_schema import TableSchema
    from deepkit.utils.types import ClassNames


@dataclasses.dataclass(frozen=True, eq=False)
class Data(Displayable):
    """Training, validation and test pipelines that do not overlap, with the metadata of the dataset.

    The functions of `deepkit.data` return it, such as `load`, `from_arrays` and `points`.

    Args:
        name: Name of the dataset, with its configuration if it has one ("glue/sst2").
        version: Version of the dataset; empty if it has none.
        source: "prepared", "downloaded", "bundled", "arrays", "folder", "table", "records" or "generated".
        origin: Description of the location of the data.
        train: Training pipeline, shuffled anew in each epoch and augmented.
        validation: Validation pipeline, in order and not augmented; None if there is none.
        test: Test pipeline, in order and not augmented; None if there is none.
        input_shape: Shape of one x, without the batch axis; a structure of shapes if x is a structure.
        num_classes: Number of classes of the labels; None if the labels are not classes.
        class_names: Names in the order of the labels, by name of the output if there are several; empty if unknown.
        columns: The columns of a table and their kinds; None for other data.
        stand_in_for: Name of the requested dataset if this one replaces it, else None. Results on a stand-in are
            not comparable with results on the requested dataset.

    Examples:
        >>> import deepkit as dk
        >>> dk.data.from_arrays([[1.0], [2.0]], [0, 1]).describe()
        'arrays: 2 train; in memory'
    """

    name: str
    version: str
    source: str
    origin: str
    train: Pipeline
    validation: Pipeline | None
    test: Pipeline | None
    input_shape: Shapes
    num_classes: int | None = None
    class_names: ClassNames = ()
    columns: TableSchema | None = None
    stand_in_for: str | None = None

    def head(self, num_examples: int) -> Data:
        """Return the first examples of each split, for a quick trial.

        Args:
            num_examples: Largest number of examples in each split.

        Raises:
            ValueError: `num_examples` is not a positive integer.

        Examples:
            >>> import deepkit as dk
            >>> dk.data.load("digits", verbose=False).head(200).summary()
            'digits: 200 train, 150 validation, 200 test'
        """
        return dataclasses.replace(
            self,
            train=self.train.head(num_examples),
            validation=None if self.validation is None else self.validation.head(num_examples),
            test=None if self.test is None else self.test.head(num_examples),
        )

    def summary(self) -> str:
        """Return the name, the version and the number of examples in each split; equal on all machines."""
        splits = {"train": self.train, "validation": self.validation, "test": self.test}
        counts = [f"{split.num_examples:,} {name}" for name, split in splits.items() if split is not None]
        title = f"{self.name} {self.version}" if self.version else self.name
        return f"{title}: {', '.join(counts)}"

    def show(self, num_examples: int = 16, *, split: str = "train") -> Figure:
        """Draw examples of a split with their labels.

        Args:
            num_examples: Largest number of examples.
            split: "train", as `fit` reads it: shuffled and augmented; or "validation" or "test", in order.

        Returns:
            A figure: images in a grid with their class names, other inputs as a table with a row for each example.

        Raises:
            ValueError: There is no such split, or `num_examples` is not a positive integer.

        Examples:
            >>> import deepkit as dk
            >>> figure = dk.data.load("digits", verbose=False).show(8, split="test")
            >>> len(figure.axes)
            8
        """
        splits = {"train": self.train, "validation": self.validation, "test": self.test}
        names = tuple(name for name, pipeline in splits.items() if pipeline is not None)
        pipeline = splits[check_choice(split, "show: split", names)]
        assert pipeline is not None
        return pipeline.show(num_examples, class_names=self.class_names)

    def describe(self) -> str:
        """Return one line with the summary and the origin of the data."""
        return f"{self.summary()}; {self.origin}"

    def __repr__(self) -> str:
        return f"<Data {self.describe()}>"


@dataclasses.dataclass(frozen=True, eq=False)
class RawData:
    """A dataset before its pipelines are built; all other fields are those of `Data`.

    Args:
        sources: The source of the examples of each split: "train", "validation" and "test".
        scales: In the structure of x: the factor that scales an image to [0, 1], or None for a tensor that is not
            an image.
        rescale: Whether the pipelines scale images to [0, 1].
    """

    name: str
    version: str
    source: str
    origin: str
    sources: Mapping[str, Source]
    scales: Scales = None
    rescale: bool = True
    num_classes: int | None = None
    class_names: ClassNames = ()
    columns: TableSchema | None = None


def build_data(
    raw: RawData,
    settings: PipelineSettings,
    augmentations: tuple[Augmentation, ...] = (),
    shuffle: bool = True,
    stand_in_for: str | None = None,
) -> Data:
    """Build the pipelines: the training pipeline is shuffled and augmented, the others are not."""
    pipelines: dict[str, Pipeline] = {}
    for split, source in raw.sources.items():
        identity = (raw.name, raw.version, split)
        split_settings = dataclasses.replace(
            settings,
            identity=identity,
            scales=raw.scales,
            rescale=raw.rescale,
            columns=raw.columns,
            class_names=raw.class_names,
        )
        if split == "train":
            split_settings = dataclasses.replace(split_settings, shuffle=shuffle, augmentations=augmentations)
        pipelines[split] = Pipeline(source, split_settings)
    return Data(
        name=raw.name,
        version=raw.version,
        source=raw.source,
        origin=raw.origin,
        train=pipelines["train"],
        validation=pipelines.get("validation"),
        test=pipelines.get("test"),
        input_shape=_input_shape(pipelines["train"]),
        num_classes=raw.num_classes,
        class_names=raw.class_names,
        columns=raw.columns,
        stand_in_for=stand_in_for,
    )


def _input_shape(train: Pipeline) -> Shapes:
    """Return the shape of one x of a pipeline, without the batch axis."""
    return tf.nest.map_structure(lambda spec: tuple(spec.shape[1:]), inputs_of(train.element_spec))
