"""Captions: the attention on objects, the networks, and photographs from a folder."""

import csv
import io
import zipfile

import numpy as np
import pytest
from PIL import Image

import deepkit as dk
from deepkit.models.alignment import ImageAttentionMap
from recipes.sequence import captions


@pytest.fixture
def folder(tmp_path):
    """Return a folder with 160 photographs of two captions each."""
    with zipfile.ZipFile(tmp_path / "images.zip", "w") as archive:
        for number in range(160):
            buffer = io.BytesIO()
            Image.new("RGB", (30, 20), (number, 0, 0)).save(buffer, "PNG")
            archive.writestr(f"{number}.png", buffer.getvalue())
    with open(tmp_path / "captions.csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["image", "caption"])
        writer.writerows([f"{number}.png", text] for number in range(160) for text in (f"photo {number}", "other"))
    return tmp_path


def test_attention_is_counted_on_the_positions_that_overlap_the_object():
    weights = np.zeros((4, 4, 4))  # three words and the end, on a map of four by four positions of two pixels
    weights[1, 1, 1] = 0.75
    weights[1, 3, 3] = 0.25
    weights[2, 0, 0] = 1.0
    boxes = np.array([[[0, 0, 0, 0], [2, 3, 5, 6], [6, 6, 8, 8]]])
    share, chance = captions.attention_on_objects([ImageAttentionMap(weights, ["a", "red", "box", ""])], boxes, 8)
    assert share == pytest.approx((0.75 + 0.0) / 2)
    assert chance == pytest.approx((4 / 16 + 1 / 16) / 2)


def test_uniform_attention_is_at_chance():
    data = dk.data.scenes("captions", 20)
    texts = data.test.arrays()[1]
    maps = [ImageAttentionMap(np.full((len(text.split()) + 1, 12, 12), 1 / 144), []) for text in texts]
    share, chance = captions.attention_on_objects(maps, data.word_boxes("test"), 48)
    assert share == pytest.approx(chance)
    assert 0.02 < chance < 0.15


def test_the_networks_differ_only_in_their_attention():
    config = captions.Config()
    soft, hard, penalized = (captions.captioner(config, variant) for variant in captions.VARIANTS)
    assert (soft.hard, hard.hard, penalized.hard) == (False, True, False)
    assert (soft.doubly_stochastic, penalized.doubly_stochastic) == (0.0, 0.01)
    for name in ("encoder", "decoder", "text", "embedding_dim", "attention"):
        assert getattr(soft, name) == getattr(hard, name) == getattr(penalized, name)


def test_each_photograph_has_its_first_caption(folder):
    data = captions.load_data(captions.Config(folder=folder))
    images, texts = data.test.arrays()
    assert [str(text) if isinstance(text, str) else text.decode() for text in texts] == [
        f"photo {number}" for number in range(144, 160)
    ]
    assert images.shape == (16, 64, 64, 3)
    assert (data.train.num_examples, data.validation.num_examples, data.stand_in_for) == (128, 16, "the scenes")


def test_a_folder_without_the_files_raises(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"does not contain captions.csv\n  hint: use a folder with"):
        captions.load_data(captions.Config(folder=tmp_path))


@pytest.mark.thorough
def test_a_smoke_run_on_photographs(folder, tmp_path):
    report = dk.recipe.run(captions.RECIPE, captions.Config.smoke(folder=folder, run_dir=tmp_path / "run"))
    assert not report.comparable
