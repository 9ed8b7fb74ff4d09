"""`Data.show` and `Pipeline.show`: examples with their labels as a figure."""

import numpy as np
import pytest

import deepkit as dk
from deepkit.visualize.figures import png_bytes

IMAGES = np.random.default_rng(0).integers(0, 256, (20, 9, 9, 3)).astype("uint8")


def titles(figure):
    return [ax.get_title() for ax in figure.axes if ax.images]


def images(figure):
    return [np.asarray(ax.images[0].get_array()) for ax in figure.axes if ax.images]


def rows(figure):
    """Return the texts of the only table of a figure, row by row."""
    (table,) = figure.axes[0].tables
    cells = {place: cell.get_text().get_text() for place, cell in table.get_celld().items()}
    num_rows, num_columns = (max(place[axis] for place in cells) + 1 for axis in (0, 1))
    return [[cells[row, column] for column in range(num_columns)] for row in range(num_rows)]


def test_images_are_drawn_in_their_colors_with_class_names():
    pipeline = dk.data.from_arrays(IMAGES, np.arange(20) % 3, shuffle=False).train
    figure = pipeline.show(10, class_names=["cat", "$dog$", "owl"])
    assert titles(figure) == [("cat", "$dog$", "owl")[i % 3] for i in range(10)]
    for drawn, image in zip(images(figure), IMAGES, strict=False):
        np.testing.assert_allclose(drawn, image / 255, atol=1e-6)
    assert png_bytes(figure).startswith(b"\x89PNG")


def test_the_examples_are_the_first_of_the_first_epoch_which_does_not_advance():
    data = dk.data.load("digits", verbose=False)
    x, y = next(iter(data.train.epochs()))
    figure = data.show(8)
    assert titles(figure) == [str(label) for label in y[:8].numpy()]
    np.testing.assert_array_equal(images(figure)[3], x[3, ..., 0])
    np.testing.assert_array_equal(next(iter(data.train))[1], y)
    assert titles(data.show(4, split="test")) == [str(label) for label in data.test.arrays(4)[1]]


def test_a_table_has_a_column_for_each_input_and_the_target():
    houses = {"area": [50.0, 80.0, 120.5], "city": ["Oslo", None, "$1 and $2"], "price": ["low", "high", "low"]}
    figure = dk.data.from_table(houses, target="price", verbose=False).train.show(class_names=("high", "low"))
    header, *body = rows(figure)
    assert header == ["area", "city", "price"]
    assert sorted(body) == [["120.5", "$1 and $2", "low"], ["50", "Oslo", "low"], ["80", "", "high"]]
    assert png_bytes(figure).startswith(b"\x89PNG")


def test_texts_vectors_and_sequences_are_rows_of_a_table():
    texts = ["one\nline", "long " * 40]
    assert rows(dk.data.from_arrays(texts, [1, 0], shuffle=False).train.show()) == [
        ["x", "label"],
        ["one line", "1"],
        [("long " * 40)[:61] + "...", "0"],
    ]
    assert rows(dk.data.from_arrays(np.array([[1.5, 2.0]])).train.show()) == [["x[0]", "x[1]"], ["1.5", "2"]]
    ids = np.arange(12)[None]
    assert rows(dk.data.from_arrays(ids).train.show()) == [["x"], ["0, 1, 2, 3, 4, ... (12 values)"]]
    assert rows(dk.data.from_arrays(np.zeros((1, 3, 5))).train.show()) == [["x"], ["array of shape (3, 5)"]]


def test_several_labels_are_shown_by_name():
    labels = {"kind": np.eye(3, dtype=int)[[0, 2]] + [0, 1, 0], "size": np.array([0.5, 2.25])}
    data = dk.data.from_arrays(IMAGES[:2], labels, shuffle=False)
    names = {"kind": ("red", "round", "big")}
    assert titles(data.train.show(class_names=names)) == ["kind: red, round\nsize: 0.5", "kind: round, big\nsize: 2.25"]


def test_wrong_arguments_are_named():
    data = dk.data.from_arrays(IMAGES, np.arange(20))
    with pytest.raises(ValueError, match="show: split must be one of 'train', received 'tset'"):
        data.show(split="tset")
    with pytest.raises(ValueError, match="show: num_examples must be"):
        data.show(0)


def test_a_table_shows_dates_and_missing_values_as_text():
    table = {
        "area": [30.5, None] * 10,
        "new": [True, False] * 10,
        "sold": ["2020-02-01", None] * 10,
        "price": [210.5, 250.0] * 10,
    }
    data = dk.data.from_table(table, target="price", verbose=False, shuffle=False)
    (ax,) = data.show(2).axes
    texts = [cell.get_text().get_text() for _, cell in sorted(ax.tables[0].get_celld().items())]
    assert texts == ["area", "new", "sold", "price", "30.5", "True", "2020-02-01", "210.5", "", "False", "", "250"]
