"""NLVR: drawings of boxes with shapes, and sentences by humans that are true or false (Suhr et al. 2017)."""

from __future__ import annotations

import dataclasses
import json
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf

import deepkit as dk
from deepkit.data.images import resize_images
from deepkit.utils.errors import message

SPLITS = {"train": ("hidden", "test"), "test": ("dev",)}  # the training split of NLVR is not used
HEIGHT = 36  # of the images in pixels, which are 100 pixels high in the files


def load_nlvr(folder: Path, num_examples: int, *, batch_size: int, seed: int) -> dk.data.Data:
    """Return drawings with sentences: the last tenth of the training data is the validation data.

    Args:
        folder: Folder with dev.jsonl, test.jsonl and hidden.jsonl, and images.zip with the image of each line.
        num_examples: Largest number of examples of each split.
        batch_size: Number of examples in a batch.
        seed: Seed of the order.

    Raises:
        FileNotFoundError: The folder lacks a file.
    """
    for name in ("images.zip", *(f"{name}.jsonl" for names in SPLITS.values() for name in names)):
        if not (folder / name).is_file():
            problem = f"{folder} does not contain {name}"
            raise FileNotFoundError(message(problem, hint="use the files of https://github.com/lil-lab/nlvr"))
    splits = {split: read_sentences(folder, names, num_examples) for split, names in SPLITS.items()}
    data = dk.data.from_arrays(
        *splits["train"], validation=0.1, test=splits["test"], batch_size=batch_size, seed=seed, name="NLVR"
    )
    return dataclasses.replace(data, stand_in_for="VQA", class_names=("false", "true"))


def read_sentences(folder: Path, names: Sequence[str], num_examples: int) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Return images and sentences, and the labels: 1 for a true sentence."""
    lines = [line for name in names for line in (folder / f"{name}.jsonl").read_text("utf-8").splitlines()]
    rows = [json.loads(line) for line in lines[:num_examples]]
    with zipfile.ZipFile(folder / "images.zip") as archive:
        images = [tf.io.decode_png(archive.read(row["image"]), channels=3) for row in rows]
    height, width = images[0].shape[:2]
    size = (HEIGHT, width * HEIGHT // height)
    x = {
        "image": np.stack([np.asarray(resize_images(image, size)) for image in images]),
        "question": np.array([row["sentence"] for row in rows]),
    }
    return x, np.array([row["label"] == "true" for row in rows], "int64")
