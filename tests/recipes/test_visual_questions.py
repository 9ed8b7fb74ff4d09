"""Visual questions: networks, data of the controls, chance, and the files of NLVR."""

import json
import zipfile

import numpy as np
import pytest
import tensorflow as tf

import deepkit as dk
from deepkit.data.scene_questions import ANSWERS, TYPES
from recipes.sequence import nlvr, visual_questions
from recipes.sequence.visual_questions import Config

SHAPE = (visual_questions.IMAGE_SIZE, visual_questions.IMAGE_SIZE, 3)
INPUTS = {"image and question": None, "image alone": SHAPE, "question alone": ()}
FEATURES = {"image and question": 256 + 64 + 64, "image alone": 256, "question alone": 64}  # before the last layers


@pytest.fixture(scope="module")
def data():
    return visual_questions.load_data(Config(num_scenes=80))


@pytest.fixture
def folder(tmp_path):
    """Return a folder with ten drawings for each file of NLVR; the first pixel is the number of the drawing."""
    with zipfile.ZipFile(tmp_path / "images.zip", "w") as archive:
        for number, name in enumerate(("hidden", "test", "dev")):
            rows = []
            for index in range(10):
                image = np.full((100, 400, 3), 10 * number + index, "uint8")
                archive.writestr(f"{name}-{index}.png", tf.io.encode_png(image).numpy())
                row = {
                    "image": f"{name}-{index}.png",
                    "sentence": f"Box {index}.",
                    "label": str(index % 2 == 0).lower(),
                }
                rows.append(json.dumps(row))
            (tmp_path / f"{name}.jsonl").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return tmp_path


def test_the_types_are_those_of_the_data():
    assert tuple(TYPES) == visual_questions.TYPES


def test_a_control_sees_the_same_examples_without_the_other_input(data):
    x, y = data.test.arrays()
    for key in ("image", "question"):
        control = visual_questions.select(data, f"{key} alone", Config())
        for split in ("train", "validation", "test"):
            np.testing.assert_array_equal(
                getattr(control, split).labels_in_memory, getattr(data, split).labels_in_memory
            )
        values, labels = control.test.arrays()
        np.testing.assert_array_equal(labels, y)
        np.testing.assert_allclose(values / 255 if key == "image" else 0, x[key] if key == "image" else 0, atol=1e-6)
        if key == "question":
            np.testing.assert_array_equal(values, x[key])
    assert visual_questions.select(data, "image and question", Config()) is data


def test_the_networks_have_weights_of_the_same_parts():
    models = {name: visual_questions.network(name, SHAPE, len(ANSWERS)).build(shape) for name, shape in INPUTS.items()}
    assert visual_questions.network("image and question", SHAPE, len(ANSWERS)) == visual_questions.definition(Config())
    counts = {name: sum(int(np.prod(w.shape)) for w in model.trainable_weights) for name, model in models.items()}
    width, places = 64, 25
    see = sum(9 * a * b + 2 * b for a, b in ((3, 32), (32, width), (width, width)))  # batch normalization has two
    read = 150 * width + 2 * width
    decide = {name: (features + 1) * 128 + 129 * 11 for name, features in FEATURES.items()}
    flat = places * width
    attend = 2 * places * width + 4 * (width + 1) * width + (2 * width + 1) * width  # positions, heads and pairs
    relate = attend + 2 * (width + 1) * width + (2 * flat + 1) * 256 + (flat + 1) * width
    assert counts == {
        "image and question": see + read + relate + decide["image and question"],
        "image alone": see + (flat + 1) * 256 + decide["image alone"],
        "question alone": read + decide["question alone"],
    }


def test_accuracy_is_reported_by_type():
    types = np.array(["count", "shape", "count", "shape", "shape"])
    correct = np.array([True, True, False, False, True])
    shares = visual_questions.accuracy_by_type(correct, types)
    assert list(shares) == ["shape", "count"]
    assert shares == pytest.approx({"shape": 200 / 3, "count": 50})


def test_the_chance_of_nlvr_is_the_share_of_the_most_frequent_answer(data, folder):
    types, chance = visual_questions.question_types(data)
    assert chance == {"shape": 50, "horizontal": 50, "vertical": 50, "distance": 50, "count": 20}
    assert len(types) == 80
    types, chance = visual_questions.question_types(visual_questions.load_data(Config(folder=folder)))
    assert (chance, set(types)) == ({"all": 50}, {"all"})


def test_nlvr_is_read_with_its_own_split(folder):
    data = nlvr.load_nlvr(folder, 100, batch_size=4, seed=0)
    assert data.summary() == "NLVR: 18 train, 2 validation, 10 test"
    assert (data.input_shape["image"], data.stand_in_for) == ((36, 144, 3), "VQA")
    x, y = data.test.arrays()
    assert x["question"][3] == b"Box 3."
    np.testing.assert_array_equal(y, np.arange(10) % 2 == 0)
    np.testing.assert_array_equal(x["image"][:, 5, 5, 0], 20 + np.arange(10))


def test_a_folder_without_the_files_raises(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"does not contain images.zip\n  hint: use the files of https://"):
        nlvr.load_nlvr(tmp_path, 10, batch_size=4, seed=0)


@pytest.mark.slow
def test_a_smoke_run_on_nlvr(folder, capsys):
    report = dk.recipe.run(visual_questions.RECIPE, Config.smoke(folder=folder, batch_size=1, epochs=2))
    assert not report.comparable
    assert "not comparable with the paper" in capsys.readouterr().out
    assert "test accuracy, question alone" in report.measured


@pytest.mark.slow
def test_halves_are_learned_from_image_and_question():
    data = dk.data.scenes("questions", 12_000, image_size=SHAPE[0], validation=500, question_types=("horizontal",))
    run = visual_questions.train_one(Config(epochs=3), "image and question", data)
    assert run.history["val_accuracy"][-1] > 0.9
