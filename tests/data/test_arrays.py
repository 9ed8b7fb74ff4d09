import numpy as np
import pytest
import tensorflow as tf

from deepkit import data as dk_data
from deepkit.data import DataError
from tests.data.tiny import epoch


def numbered(count=20):
    return np.arange(count, dtype="float32")[:, None], np.arange(count) % 4


def seen(pipeline):
    return sorted(int(value) for x, _ in epoch(pipeline) for value in x[:, 0])


def test_parts_do_not_overlap_and_lose_nothing():
    x, y = numbered()
    data = dk_data.from_arrays(x, y, validation=5, test=(x + 100, y), batch_size=3)
    assert seen(data.train) == list(range(15))
    assert seen(data.validation) == list(range(15, 20))
    assert seen(data.test) == list(range(100, 120))
    assert data.describe() == "arrays: 15 train, 5 validation, 20 test; in memory"
    assert (data.source, data.input_shape, data.num_classes, data.stand_in_for) == ("arrays", (1,), 4, None)


@pytest.mark.parametrize(("validation", "held"), [(0.25, 5), (0.1, 2), (1, 1), (19, 19)])
def test_validation_is_a_number_or_a_fraction(validation, held):
    data = dk_data.from_arrays(*numbered(), validation=validation)
    assert data.validation.num_examples == held
    assert data.train.num_examples == 20 - held


def test_validation_of_its_own():
    x, y = numbered()
    data = dk_data.from_arrays(x, y, validation=(x[:3], y[:3]))
    assert (data.train.num_examples, data.validation.num_examples, data.test) == (20, 3, None)


def test_uint8_images_are_scaled_and_map_gets_them_unscaled():
    images = np.full((4, 5, 5, 1), 255, "uint8")
    assert float(tf.reduce_max(next(iter(dk_data.from_arrays(images).train)))) == 1.0
    mapped = dk_data.from_arrays(images, map=lambda x: x - 100.0)
    batch = next(iter(mapped.train))
    assert batch.dtype == tf.float32
    assert float(tf.reduce_max(batch)) == 155.0


def test_map_sees_augmented_images_in_their_own_scale():
    images = np.full((4, 5, 5, 1), 200, "uint8")
    data = dk_data.from_arrays(images, map=lambda x: x, augment=[dk_data.PadCrop(3, fill=50.0)])
    assert set(np.unique(np.concatenate(epoch(data.train)))) <= {50.0, 200.0}


def test_map_may_branch_on_tensors():
    def double_if_large(x):
        if tf.reduce_sum(x) > 10:
            x = 2 * x
        return x

    x, _ = numbered()
    assert float(tf.reduce_max(next(iter(dk_data.from_arrays(x, map=double_if_large).train)))) == 38.0


def test_dicts_and_tuples_of_inputs():
    x = {"left": np.zeros((6, 2)), "right": np.zeros((6, 3, 3), "uint8")}
    data = dk_data.from_arrays(x, np.zeros(6), batch_size=4)
    assert data.input_shape == {"left": (2,), "right": (3, 3)}
    inputs, labels = next(iter(data.train))
    assert (inputs["left"].dtype, inputs["right"].dtype, labels.shape) == (tf.float32, tf.float32, (4,))
    pair = dk_data.from_arrays((np.zeros((6, 2)), np.zeros((6, 3))), batch_size=4)
    assert pair.input_shape == ((2,), (3,))
    ((left, right),) = next(iter(pair.train))
    assert (left.shape, right.shape) == ((4, 2), (4, 3))


def test_text_passes_through():
    data = dk_data.from_arrays(["one", "two", "three"], [0, 1, 1], shuffle=False)
    words, _ = next(iter(data.train))
    assert words.numpy().tolist() == [b"one", b"two", b"three"]


@pytest.mark.parametrize(
    ("y", "num_classes"),
    [([0, 1, 2], 3), ([[0], [1], [1]], 2), (np.eye(3), 3), ([0.5, 1.5, 2.5], None), ([-1, 0, 1], None), (None, None)],
)
def test_classes_are_read_off_the_labels(y, num_classes):
    assert dk_data.from_arrays(np.zeros((3, 2)), y).num_classes == num_classes


def test_small_integer_labels_become_int32():
    assert dk_data.from_arrays(np.zeros((3, 2)), np.zeros(3, "uint8")).train.element_spec[1].dtype == tf.int32


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"y": [0, 1]}, r"x and y must have the same number of examples, received \[4, 2\]"),
        ({"x": np.zeros((0, 2))}, r"x has no examples: its shape is \(0, 2\)"),
        ({"y": [0, np.nan, 1, np.nan]}, "y: 2 labels are NaN or infinite, the first at index 1"),
        ({"x": [[1, 2], [3]]}, "x: the examples differ in shape"),
        ({"x": 3.0}, "x: expected an array with the examples along its first axis, received 3.0"),
        ({"batch_size": 0}, "batch_size must be a whole number above 0, received 0"),
        ({"batch_size": -8}, "batch_size must be a whole number above 0, received -8"),
        ({"batch_size": 2.5}, "batch_size must be a whole number above 0, received 2.5"),
        ({"seed": -1}, "seed must be a whole number from 0"),
        ({"validation": 1.5}, "validation=1.5 as a fraction must be from 0 up to, but not including, 1"),
        ({"validation": 1.0}, "for a number of examples give an int"),
        ({"validation": -0.1}, "as a fraction must be"),
        ({"validation": 4}, "validation=4 does not fit: .* there are 4 training examples; take at most 3"),
        ({"validation": -1}, "validation=-1 does not fit"),
        ({"validation": 0.01}, "validation=0.01 of 4 training examples is not even one example"),
        ({"y": [0, 1, 0, 1], "test": np.zeros((4, 2))}, r"test must be a pair \(x, y\) as the training data is"),
        ({"y": [0, 1, 0, 1], "test": (np.zeros((2, 2)), [0])}, "test x and y must have the same number"),
    ],
)
def test_wrong_arguments_are_named(arguments, text):
    with pytest.raises(ValueError, match=text):
        dk_data.from_arrays(**{"x": np.zeros((4, 2)), **arguments})


def test_wrong_types_are_named():
    with pytest.raises(
        TypeError, match="x: expected numbers or text, received an array of Python objects such as None"
    ):
        dk_data.from_arrays([None, None])
    with pytest.raises(
        TypeError, match="validation must be a number of examples or a fraction below 1, received 'all'"
    ):
        dk_data.from_arrays(np.zeros((4, 2)), validation="all")


def test_a_data_error_is_an_os_error():
    assert issubclass(DataError, OSError)
