"""Tiny TFDS datasets, and functions that read the batches of a pipeline."""

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds

IMAGES, CLASSES = 40, 4


class TinyShapes(tfds.core.GeneratorBasedBuilder):
    """Gray 6x6 images whose top left pixel is their number."""

    VERSION = tfds.core.Version("1.0.0")

    def _info(self):
        features = {
            "image": tfds.features.Image(shape=(6, 6, 1)),
            "label": tfds.features.ClassLabel(num_classes=CLASSES),
        }
        return tfds.core.DatasetInfo(
            builder=self, features=tfds.features.FeaturesDict(features), supervised_keys=("image", "label")
        )

    def _split_generators(self, dl_manager):
        return {"train": self._examples(0, IMAGES), "test": self._examples(IMAGES, IMAGES + 10)}

    def _generate_examples(self, start, stop):
        yield from self._examples(start, stop)

    def _examples(self, start, stop):
        for i in range(start, stop):
            image = np.random.RandomState(i).randint(0, 255, (6, 6, 1), "uint8")
            image[0, 0] = i
            yield i, {"image": image, "label": i % CLASSES}


class ManyShapes(TinyShapes):
    """More of these images; the labels are their numbers."""

    def _split_generators(self, dl_manager):
        return {"train": self._generate_examples(0, 700)}

    def _generate_examples(self, start, stop):
        for i in range(start, stop):
            yield i, {"image": np.full((6, 6, 1), i % 256, "uint8"), "label": i % CLASSES}


class TinyPhotos(tfds.core.GeneratorBasedBuilder):
    """Color images of two sizes with a name; no supervised keys."""

    VERSION = tfds.core.Version("1.0.0")

    def _info(self):
        features = {"photo": tfds.features.Image(shape=(None, None, 3)), "name": tfds.features.Text()}
        return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

    def _split_generators(self, dl_manager):
        return {"train": self._examples()}

    def _generate_examples(self):
        yield from self._examples()

    def _examples(self):
        for i in range(20):
            yield i, {"photo": np.full((8 + i % 2, 10, 3), i, "uint8"), "name": f"photo {i}"}


class TinyLines(tfds.core.GeneratorBasedBuilder):
    """Sentences with a class and a number; no supervised keys, and hidden test labels, as in GLUE."""

    VERSION = tfds.core.Version("1.0.0")

    def _info(self):
        features = {
            "sentence": tfds.features.Text(),
            "label": tfds.features.ClassLabel(names=["against", "for"]),
            "idx": np.int32,
        }
        return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

    def _split_generators(self, dl_manager):
        return {"train": self._examples(20), "test": self._examples(5, label=-1)}

    def _generate_examples(self, count):
        yield from self._examples(count)

    def _examples(self, count, label=None):
        for i in range(count):
            yield i, {"sentence": f"line {i}", "label": i % 2 if label is None else label, "idx": i}


def epoch(pipeline):
    """Return all batches of one iteration, as NumPy arrays."""
    return [tf.nest.map_structure(lambda leaf: leaf.numpy(), batch) for batch in pipeline]


def numbers(pipeline):
    """Return the number in the corner of each image of one iteration."""
    scale = 1 if pipeline.element_spec[0].dtype == "uint8" else 255
    return [round(float(image[0, 0, 0]) * scale) for x, _ in epoch(pipeline) for image in x]
