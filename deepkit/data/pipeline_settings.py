"""The settings of a pipeline, and the checks of the batch size and the seed."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from deepkit.data.augmentation import Augmentation
from deepkit.utils.errors import format_value, make_error
from deepkit.utils.validation import check_integer

if TYPE_CHECKING:
    from deepkit.data.nested_arrays import Scales
    from deepkit.data.table_schema import TableSchema
    from deepkit.utils.types import ClassNames


@dataclasses.dataclass(frozen=True)
class PipelineSettings:
    """The settings of a pipeline.

    Args:
        batch_size: Number of examples in a batch.
        seed: Seed of the order and of the augmentations.
        shuffle: Whether to shuffle the examples anew in each epoch.
        drop_remainder: Whether to drop a smaller last batch.
        augmentations: Augmentations of x, applied in the scale in which the images are stored.
        map: Function that receives a batch of x and returns the input of the model. It replaces the scaling of
            images to [0, 1].
        scales: In the structure of x: the factor that scales an image to [0, 1], or None for a tensor that is not
            an image.
        rescale: Whether the pipeline scales images to [0, 1]; if not, it yields them as they are stored.
        target_scales: For the target "inputs" only, in the structure of x: the factor that scales x to the target.
        identity: Name, version and split of the dataset.
        target: Target of the training: "labels", "inputs" (x itself) or "none" (batches of x alone).
        columns: The columns of a table; None for other data.
        class_names: Names of the classes by label; empty if unknown.
    """

    batch_size: int = 32
    seed: int = 0
    shuffle: bool = False
    drop_remainder: bool = False
    augmentations: tuple[Augmentation, ...] = ()
    map: Callable[[Any], Any] | None = None
    scales: Scales = None
    rescale: bool = True
    target_scales: Scales = None
    identity: tuple[str, ...] = ()
    target: str = "labels"
    columns: TableSchema | None = None
    class_names: ClassNames = ()

    def __post_init__(self) -> None:
        if self.map is not None and not callable(self.map):
            problem = f"map must be a function of a batch of x, received {format_value(self.map)}"
            raise make_error(TypeError, problem, hint="pass map=lambda x: x / 255")


def check_batch_size(batch_size: object) -> int:
    """Return a batch size as an int, or raise a ValueError."""
    return check_integer(batch_size, "batch_size", hint="pass batch_size=32")


def check_seed(seed: object) -> int:
    """Return a seed as an int, or raise a ValueError."""
    return check_integer(seed, "seed", minimum=0, maximum=2**63 - 1, hint="pass seed=0")
