"""Generated scenes: captions and answers are recomputed from the pixels; the data is a function of the arguments."""

import collections
import itertools
import math

import numpy as np
import pytest
from keras import layers

import deepkit as dk
from deepkit.data.scene_generators import COLORS, PALETTE, SHAPES
from deepkit.data.scene_questions import ANSWERS, TYPES

NUM_SCENES = 100


@pytest.fixture(scope="module")
def captions():
    return dk.data.scenes("captions", NUM_SCENES, seed=3, validation=0.2)


@pytest.fixture(scope="module")
def questions():
    return dk.data.scenes("questions", NUM_SCENES, seed=3, validation=0.2)


def stored_images(x):
    images = np.rint(255 * x).astype("uint8")
    np.testing.assert_allclose(images / 255, x, atol=1e-6)
    return images


def seen_objects(image):
    """Return the shape and the center of each color, from the pixels of an image alone."""
    objects, radius = {}, len(image) // 12
    for name, color in PALETTE.items():
        rows, columns = np.nonzero((image == color).all(-1))
        if len(rows):
            share = len(rows) / (2 * radius + 1) ** 2
            shape = "square" if share == 1 else "circle" if share > 0.55 else "triangle"
            x = (columns.min() + columns.max()) / 2
            objects[name] = (shape, x, rows.max() - radius if shape == "triangle" else (rows.min() + rows.max()) / 2)
    return objects


def seen_caption(objects):
    text, previous = "", None
    for color, (shape, x, y) in sorted(objects.items(), key=lambda item: item[1][1]):
        if previous:
            dx, dy = x - previous[0], y - previous[1]
            text += " left of " if dx > abs(dy) else " above " if dy > 0 else " below "
        text += f"a {color} {shape}"
        previous = x, y
    return text


def seen_answer(question, objects, size):
    color = next(name for name in objects if name in question.split())
    shape, x, y = objects[color]
    if "left" in question:
        return "left" if x < (size - 1) / 2 else "right"
    if "top" in question:
        return "top" if y < (size - 1) / 2 else "bottom"
    if "many" in question:
        return str([other for other, _, _ in objects.values()].count(shape))
    if "object closest" in question or "object furthest" in question:
        others = [(math.dist((x, y), place), name) for name, *place in map(objects.get, set(objects) - {color})]
        return min(others)[1] if "closest" in question else max(others)[1]
    return shape


@pytest.mark.parametrize("size", [36, 64])
def test_captions_follow_from_the_pixels(size):
    data = dk.data.scenes("captions", NUM_SCENES, seed=3, image_size=size)
    x, y = data.test.arrays()
    assert [text.decode() for text in y] == [seen_caption(seen_objects(image)) for image in stored_images(x)]
    counts = np.unique((data.objects().shapes >= 0).sum(1), return_counts=True)
    np.testing.assert_array_equal(counts, [[2, 3], [NUM_SCENES / 2] * 2])


@pytest.mark.parametrize("size", [36, 64])
def test_answers_follow_from_the_pixels(size):
    data = dk.data.scenes("questions", NUM_SCENES, seed=4, image_size=size)
    x, y = data.train.arrays()
    for image, question, label in zip(stored_images(x["image"]), x["question"], y, strict=True):
        objects = seen_objects(image)
        assert len(objects) == 6
        assert seen_answer(question.decode(), objects, size) == data.class_names[label], question


def test_questions_belong_to_their_types(questions):
    texts = [text.decode() for text in questions.test.arrays()[0]["question"]]
    for text, name in zip(texts, questions.question_types(), strict=True):
        assert text in TYPES[name].questions()
    assert len({text for kind in TYPES.values() for text in kind.questions()}) == 36
    assert collections.Counter(questions.question_types()) == dict.fromkeys(TYPES, NUM_SCENES // 5)


@pytest.mark.parametrize("kind", ["captions", "questions"])
def test_boxes_hold_the_objects(kind, request):
    data = request.getfixturevalue(kind)
    for split in ("train", "validation", "test"):
        x = getattr(data, split).arrays()[0]
        images, objects = stored_images(x["image"] if kind == "questions" else x), data.objects(split)
        assert len(images) == len(objects.boxes)
        for image, shapes, colors, boxes in zip(images, objects.shapes, objects.colors, objects.boxes, strict=True):
            outside, seen = np.ones(image.shape[:2], bool), seen_objects(image)
            for shape, color, (top, left, bottom, right) in zip(shapes, colors, boxes, strict=True):
                if shape < 0:
                    assert color == -1
                    assert (top, left, bottom, right) == (0, 0, 0, 0)
                    continue
                assert outside[top:bottom, left:right].all()
                outside[top:bottom, left:right] = False
                name, x, y = seen[COLORS[color]]
                assert (name, x, y) == (SHAPES[shape], (left + right - 1) / 2, (top + bottom - 1) / 2)
                np.testing.assert_array_equal(image[(top + bottom) // 2, (left + right) // 2], PALETTE[COLORS[color]])
            assert (image[outside] == 250).all()


def test_word_boxes_are_those_of_the_named_object(captions):
    texts = [text.decode().split() for text in captions.test.arrays()[1]]
    boxes, objects = captions.word_boxes("test"), captions.objects("test")
    assert boxes.shape == (NUM_SCENES, max(map(len, texts)), 4)
    for scene, words in enumerate(texts):
        assert not boxes[scene, len(words) :].any()
        for word, text in enumerate(words):
            if text in COLORS:
                place = np.flatnonzero(objects.colors[scene] == COLORS.index(text)).item()
                np.testing.assert_array_equal(boxes[scene, word], objects.boxes[scene, place])
                np.testing.assert_array_equal(boxes[scene, word + 1], objects.boxes[scene, place])
            elif text not in SHAPES:
                assert not boxes[scene, word].any()


def test_chances_are_the_frequencies_of_the_most_frequent_answers():
    data = dk.data.scenes("questions", 5_000, seed=1, image_size=36)
    labels, types = data.train.labels_in_memory, data.question_types("train")
    assert dict(data.chance) == {"shape": 0.5, "horizontal": 0.5, "vertical": 0.5, "distance": 0.5, "count": 0.2}
    for name, chance in data.chance.items():
        shares = np.bincount(labels[types == name], minlength=len(ANSWERS)) / (types == name).sum()
        assert shares.max() == pytest.approx(chance, abs=0.04)
        assert shares[shares > 0] == pytest.approx(chance, abs=0.04)


def test_the_majority_shape_of_a_scene_is_no_better_than_chance():
    data = dk.data.scenes("questions", 4_000, seed=6, image_size=36, question_types=("shape", "distance"))
    is_square = data.objects("train").shapes.sum(1) > 3
    assert (data.train.labels_in_memory == is_square).mean() == pytest.approx(0.5, abs=0.03)


def test_a_subset_of_the_question_types():
    data = dk.data.scenes("questions", 40, question_types=["count", "shape"])
    assert set(data.question_types("train")) == {"shape", "count"}
    assert dict(data.chance) == {"shape": 0.5, "count": 0.2}
    assert (data.num_classes, data.class_names) == (len(ANSWERS), ANSWERS)  # the labels keep their meaning
    assert data.summary() == (
        "questions (seed 0, 48x48 pixels, shape and count, numpy.random.default_rng): 40 train, 40 test"
    )


@pytest.mark.parametrize("kind", ["captions", "questions"])
def test_scenes_are_functions_of_the_arguments(kind):
    state = str(np.random.get_state())
    first, second, other = (dk.data.scenes(kind, 20, seed=seed, validation=4) for seed in (2, 2, 3))
    for name in ("train", "validation", "test"):
        prints = [getattr(data, name).fingerprint for data in (first, second, other)]  # of the contents
        assert prints[0] == prints[1] != prints[2]
    assert first.train.fingerprint != first.test.fingerprint
    assert str(np.random.get_state()) == state
    assert dk.data.scenes(kind, 1).train.num_examples == 1


def test_shapes_dtypes_and_metadata(captions, questions):
    images, texts = next(iter(captions.train))
    assert (images.shape, images.dtype, texts.dtype) == ((32, 48, 48, 3), "float32", "string")
    assert (captions.input_shape, captions.num_classes, captions.class_names) == ((48, 48, 3), None, ())
    assert dict(captions.chance) == {}
    inputs, answers = next(iter(questions.train))
    assert (inputs["image"].shape, inputs["question"].shape) == ((32, 48, 48, 3), (32,))
    assert (inputs["image"].dtype, inputs["question"].dtype, answers.dtype) == ("float32", "string", "int64")
    assert next(iter(questions.train.stored_batches(4)))[0]["image"].dtype == "uint8"
    assert questions.describe() == (
        "questions (seed 3, 48x48 pixels, numpy.random.default_rng): 80 train, 20 validation, 100 test; generated"
    )


def test_head_keeps_the_details_of_the_first_examples(captions, questions):
    np.testing.assert_array_equal(captions.head(7).word_boxes(), captions.word_boxes()[:7])
    np.testing.assert_array_equal(questions.head(7).question_types("train"), questions.question_types("train")[:7])
    validation = questions.objects("validation").boxes
    np.testing.assert_array_equal(questions.head(70).objects("validation").boxes, validation)


def test_show_draws_images_with_their_texts(captions, questions):
    for data in (captions, questions):
        figure = data.show(3, split="test")
        x, y = data.test.arrays(3)
        for index, ax in enumerate(figure.axes):
            title = ax.get_title().replace("\n", " ")
            if data is captions:
                assert title == y[index].decode()
            else:
                assert title == f"{x['question'][index].decode()} {ANSWERS[y[index]]}"
            np.testing.assert_array_equal(ax.images[0].get_array(), (x if data is captions else x["image"])[index])
        assert len(figure.axes) == 3
    assert "The first 8 training examples of captions" in captions._repr_html_()


def network():
    return dk.Functional(
        inputs={"image": dk.Input((48, 48, 3)), "question": dk.Input((), dtype="string")},
        nodes={
            "seen": ("image", [dk.ConvStack(4, norm=None), layers.GlobalAveragePooling2D(), layers.Dense(8)]),
            "asked": ("question", [dk.Text(40), layers.Embedding(40, 4, mask_zero=True), dk.Recurrent("gru", 8)]),
            "answer": (["seen", "asked"], [dk.Merge("multiply"), dk.Classifier(len(ANSWERS))]),
        },
        outputs="answer",
    )


@pytest.mark.slow
def test_a_run_resumes_exactly_and_answers_in_words(tmp_path):
    def data():
        return dk.data.scenes("questions", 64, seed=1)

    straight = dk.fit(network(), data(), epochs=2, run_dir=tmp_path / "straight", verbose=0)
    dk.fit(network(), data(), epochs=1, run_dir=tmp_path / "run", verbose=0)
    resumed = dk.fit(network(), data(), epochs=2, run_dir=tmp_path / "run", verbose=0)
    assert (resumed.resume, resumed.epochs) == ("exact", 2)
    for first, second in itertools.zip_longest(straight.model.get_weights(), resumed.model.get_weights()):
        np.testing.assert_array_equal(first, second)
    labels, _ = resumed.predict(data().test)
    assert set(labels) <= set(ANSWERS)


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (
            lambda: dk.data.scenes("caption"),
            ValueError,
            "scenes: kind must be one of 'captions', 'questions', received 'caption'; did you mean 'captions'?\n"
            '  hint: use dk.data.scenes("captions")',
        ),
        (
            lambda: dk.data.scenes("questions", question_types=("shape", "counts")),
            ValueError,
            "scenes: question_types must be one of 'shape', 'horizontal', 'vertical', 'distance', 'count', received "
            "'counts'; did you mean 'count'?\n"
            '  hint: use question_types=("shape", "count")',
        ),
        (
            lambda: dk.data.scenes("questions", question_types="shape"),
            ValueError,
            "scenes: question_types must be a sequence of names, received 'shape'\n"
            '  hint: use question_types=("shape", "count")',
        ),
        (
            lambda: dk.data.scenes("questions", question_types=()),
            ValueError,
            "scenes: question_types must be a sequence of names, received ()",
        ),
        (
            lambda: dk.data.scenes("captions", question_types=("shape",)),
            ValueError,
            "scenes: 'captions' takes no question_types, received question_types=('shape',)\n"
            "  hint: leave question_types out; it is an argument of 'questions'",
        ),
        (
            lambda: dk.data.scenes("captions", 0),
            ValueError,
            "scenes: num_scenes must be a positive integer, received 0\n  hint: use num_scenes=1000",
        ),
        (
            lambda: dk.data.scenes("captions", image_size=32),
            ValueError,
            "scenes: image_size must be an integer of at least 36, received 32\n  hint: use image_size=48",
        ),
        (
            lambda: dk.data.scenes("captions", image_size=1000),
            ValueError,
            "scenes: image_size must be at most 256, received 1000\n  hint: use image_size=48",
        ),
        (lambda: dk.data.scenes("captions", seed=-1), ValueError, "seed must be an integer of at least 0"),
        (lambda: dk.data.scenes("captions", batch_size=0), ValueError, "batch_size must be a positive integer"),
        (lambda: dk.data.scenes("captions", validation="some"), TypeError, "validation must be a number of examples"),
        (
            lambda: dk.data.scenes("captions", 4).question_types(),
            ValueError,
            'question_types: the data has no questions, only captions\n  hint: use dk.data.scenes("questions")',
        ),
        (
            lambda: dk.data.scenes("questions", 4).word_boxes(),
            ValueError,
            'word_boxes: the data has no captions, only questions\n  hint: use dk.data.scenes("captions")',
        ),
        (
            lambda: dk.data.scenes("captions", 4).objects("tset"),
            ValueError,
            "objects: split must be one of 'train', 'test', received 'tset'; did you mean 'test'?",
        ),
        (
            lambda: dk.data.scenes("captions", 4).show(split="validation"),
            ValueError,
            "show: split must be one of 'train', 'test', received 'validation'",
        ),
    ],
)
def test_wrong_arguments_are_named(call, error, text):
    with pytest.raises(error) as caught:
        call()
    assert str(caught.value).startswith(text)
