"""`WrappedDataset`: a `tf.data.Dataset` with further attributes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import tensorflow as tf

if TYPE_CHECKING:
    from deepkit.utils.types import Dataset


class WrappedDataset(tf.data.Dataset):
    """A dataset that yields the elements of another one; subclasses add attributes.

    Args:
        dataset: The other dataset.
    """

    def __init__(self, dataset: Any) -> None:
        self._dataset = dataset
        super().__init__(dataset._variant_tensor)

    def _inputs(self) -> list[Dataset]:
        return [self._dataset]

    @property
    def element_spec(self) -> Any:
        """Structure, shapes and dtypes of the elements."""
        return self._dataset.element_spec
