"""Named datasets, arrays, tables, images, record files and generated data as fast, reproducible pipelines.

Example:
    >>> data = load("digits", verbose=False)
    >>> data.train.num_examples, data.input_shape, data.num_classes
    (1350, (8, 8, 1), 10)
"""

from deepkit.data.augmentation import Affine, Augmentation, Elastic, Flip, PadCrop, Shift
from deepkit.data.curve_images import curves
from deepkit.data.dataset import Data
from deepkit.data.errors import DataError
from deepkit.data.image_folder import from_folder
from deepkit.data.load import load
from deepkit.data.pair_files import from_text_pairs
from deepkit.data.pipeline import Pipeline
from deepkit.data.points import PointData, points
from deepkit.data.record_data import from_records
from deepkit.data.record_writing import write_records
from deepkit.data.rectangles import rectangles
from deepkit.data.scene_generators import SceneObjects
from deepkit.data.scenes import SceneData, scenes
from deepkit.data.sequences import sequences
from deepkit.data.table import from_table
from deepkit.data.table_schema import TableSchema
from deepkit.data.tagged_file import from_tagged_file
from deepkit.data.text_pairs import text_pairs
from deepkit.data.user_arrays import from_arrays

__all__ = [
    "load", "from_arrays", "from_folder", "from_table", "from_tagged_file", "from_text_pairs",
    "from_records", "write_records",
    "curves", "points", "rectangles", "scenes", "sequences", "text_pairs",
    "Data", "PointData", "SceneData", "SceneObjects", "Pipeline", "TableSchema", "DataError",
    "Augmentation", "Shift", "Flip", "PadCrop", "Affine", "Elastic",
]  # fmt: skip


def __dir__() -> list[str]:
    return sorted(__all__)
