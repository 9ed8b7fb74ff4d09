import pickle

import numpy as np
import pytest
import tensorflow as tf

from deepkit import data as dk_data
from deepkit.data import DataError
from deepkit.data.pipeline_settings import PipelineSettings
from tests.data.tiny import epoch


def numbered(count=20):
    return np.arange(count, dtype="float32")[:, None], np.arange(count) % 4


def values(pipeline):
    return sorted(int(number) for x, _ in epoch(pipeline) for number in x[:, 0])


def test_splits_do_not_overlap_and_are_complete():
    x, y = numbered()
    data = dk_data.from_arrays(x, y, validation=5, test=(x + 100, y), batch_size=3)
    assert values(data.train) == list(range(15))
    assert values(data.validation) == list(range(15, 20))
    assert values(data.test) == list(range(100, 120))
    assert data.describe() == "arrays: 15 train, 5 validation, 20 test; in memory"
    assert (data.source, data.input_shape, data.num_classes, data.stand_in_for) == ("arrays", (1,), 4, None)


@pytest.mark.parametrize(("validation", "num_validation"), [(0.25, 5), (0.1, 2), (1, 1), (19, 19)])
def test_validation_is_a_number_or_a_fraction(validation, num_validation):
    data = dk_data.from_arrays(*numbered(), validation=validation)
    assert data.validation.num_examples == num_validation
    assert data.train.num_examples == 20 - num_validation


def test_validation_may_be_separate_data():
    x, y = numbered()
    data = dk_data.from_arrays(x, y, validation=(x[:3], y[:3]))
    assert (data.train.num_examples, data.validation.num_examples, data.test) == (20, 3, None)


def test_uint8_images_are_unchanged_and_map_receives_them_as_floats():
    images = np.full((4, 5, 5, 1), 255, "uint8")
    batch = next(iter(dk_data.from_arrays(images).train))
    assert batch.dtype == tf.uint8
    assert int(tf.reduce_max(batch)) == 255
    mapped = dk_data.from_arrays(images, map=lambda x: x - 100.0)
    batch = next(iter(mapped.train))
    assert batch.dtype == tf.float32
    assert float(tf.reduce_max(batch)) == 155.0


def test_map_receives_augmented_images_in_their_own_scale():
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


def test_inputs_may_be_dictionaries_and_tuples():
    x = {"left": np.zeros((6, 2)), "right": np.zeros((6, 3, 3), "uint8")}
    data = dk_data.from_arrays(x, np.zeros(6), batch_size=4)
    assert data.input_shape == {"left": (2,), "right": (3, 3)}
    inputs, labels = next(iter(data.train))
    assert (inputs["left"].dtype, inputs["right"].dtype, labels.shape) == (tf.float32, tf.uint8, (4,))
    pair = dk_data.from_arrays((np.zeros((6, 2)), np.zeros((6, 3))), batch_size=4)
    assert pair.input_shape == ((2,), (3,))
    ((left, right),) = next(iter(pair.train))
    assert (left.shape, right.shape) == ((4, 2), (4, 3))


def test_text_stays_unchanged():
    data = dk_data.from_arrays(["one", "two", "three"], [0, 1, 1], shuffle=False)
    texts, _ = next(iter(data.train))
    assert texts.numpy().tolist() == [b"one", b"two", b"three"]


@pytest.mark.parametrize(
    ("y", "num_classes"),
    [([0, 1, 2], 3), ([[0], [1], [1]], 2), (np.eye(3), 3), ([0.5, 1.5, 2.5], None), ([-1, 0, 1], None), (None, None)],
)
def test_the_number_of_classes_follows_from_the_labels(y, num_classes):
    assert dk_data.from_arrays(np.zeros((3, 2)), y).num_classes == num_classes


def test_small_integer_labels_become_int32():
    assert dk_data.from_arrays(np.zeros((3, 2)), np.zeros(3, "uint8")).train.element_spec[1].dtype == tf.int32


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"y": [0, 1]}, r"x and y must have the same number of examples, received \[4, 2\]"),
        ({"x": np.zeros((0, 2))}, r"x has no examples: its shape is \(0, 2\)"),
        (
            {"y": [0, np.nan, 1, np.nan]},
            r"(?s)^y has 2 labels that are NaN or infinite, the first at index 1\n  hint: remove",
        ),
        ({"x": [[1, 2], [3]]}, r"(?s)^x must be an array, received examples of different shapes .*hint: pad or crop"),
        ({"x": [[1, 2], [3]]}, r"to one shape: keras.utils.pad_sequences\(x, padding='post'\)$"),
        ({"x": [["a", "b"], ["c"]]}, r'to one shape, or join the words of each: " ".join\(words\)$'),
        ({"y": [["a"], ["a", "b"], [], ["b"]]}, r"(?s)^y must be an array, .*hint: .*MultiLabelBinarizer"),
        ({"y": [["a"], ["a", "b"]]}, r"keras.utils.pad_sequences\(y, padding='post', dtype=object, value='a'\); for"),
        ({"x": 3.0}, "x must be an array with the examples along its first axis, received 3.0"),
        ({"batch_size": 0}, "batch_size must be a positive integer, received 0"),
        ({"batch_size": -8}, "batch_size must be a positive integer, received -8"),
        ({"batch_size": 2.5}, "batch_size must be a positive integer, received 2.5"),
        ({"seed": -1}, "seed must be an integer of at least 0, received -1"),
        ({"validation": 1.5}, r"validation must be a fraction in \[0, 1\), received 1.5"),
        ({"validation": 1.0}, "hint: pass an integer for a number of examples"),
        ({"validation": -0.1}, r"validation must be a fraction in \[0, 1\), received -0.1"),
        ({"validation": 4}, r"(?s)validation=4 does not fit 4 training examples.*hint: pass at most validation=3"),
        ({"validation": -1}, "validation=-1 does not fit"),
        ({"validation": 0.01}, "validation=0.01 of 4 training examples is less than one example"),
        (
            {"y": [0, 1, 0, 1], "test": np.zeros((4, 2))},
            r"test must be a pair \(x, y\), as the training data is, received <ndarray",
        ),
        ({"y": [0, 1, 0, 1], "test": (np.zeros((2, 2)), [0])}, "test x and y must have the same number"),
    ],
)
def test_wrong_arguments_raise(arguments, text):
    with pytest.raises(ValueError, match=text):
        dk_data.from_arrays(**{"x": np.zeros((4, 2)), **arguments})


def test_sets_of_labels_raise():
    with pytest.raises(TypeError, match=r"(?s)y must hold numbers or strings, .*hint: .*MultiLabelBinarizer"):
        dk_data.from_arrays(np.zeros((2, 3)), [{"a"}, {"a", "b"}])


def test_wrong_types_raise():
    with pytest.raises(TypeError, match=r"x\[0\] is None, a missing value"):
        dk_data.from_arrays([None, None])
    with pytest.raises(
        TypeError, match="validation must be a number of examples or a fraction below 1, received 'all'"
    ):
        dk_data.from_arrays(np.zeros((4, 2)), validation="all")


@pytest.mark.parametrize("name", ["x", "y", "sample_weight"])
def test_masked_values_are_not_unmasked(name):
    arrays = {"x": np.zeros((4, 2)), "y": np.zeros(4), "sample_weight": np.ones(4)}
    arrays[name] = np.ma.array(arrays[name], mask=arrays[name] == arrays[name])
    text = rf"{name} is a masked array with \d masked values, expected a value for each\n  hint: fill them with {name}"
    with pytest.raises(TypeError, match=text):
        dk_data.from_arrays(**arrays)
    arrays[name].mask = False
    assert dk_data.from_arrays(**arrays).train.num_examples == 4


def test_long_doubles_become_float32():
    assert dk_data.from_arrays(np.zeros(4, np.longdouble)).train.element_spec.dtype == tf.float32


def test_a_map_is_a_function_that_returns_a_batch():
    with pytest.raises(TypeError, match="map must be a function of a batch of x, received 3\n  hint: pass map=lambda"):
        dk_data.from_arrays(np.zeros(4), map=3)
    with pytest.raises(TypeError, match="received None from it\n  hint: return the converted batch"):
        dk_data.from_arrays(np.zeros(4), map=lambda x: None)


def test_a_data_error_is_an_os_error():
    error = DataError("the file is missing", hint="load it again")
    assert isinstance(error, OSError)
    assert str(error) == str(pickle.loads(pickle.dumps(error))) == "the file is missing\n  hint: load it again"


def test_the_default_batch_size_is_that_of_keras():
    x = np.zeros((80, 3), "float32")
    assert dk_data.from_arrays(x).train.batch_size == 32
    assert dk_data.load("iris", verbose=False).train.batch_size == 32
    assert PipelineSettings().batch_size == 32


@pytest.mark.parametrize(
    ("texts", "problem"),
    [
        (
            ["a", 3],
            r"x must hold values of one kind, received a mixture: x\[1\] is 3\n  hint: use list\(map\(str, x\)\)",
        ),
        ([1.5, "a"], r"received a mixture: x\[0\] is 1.5"),
        ([["a", "b"], ["c", True]], r"received a mixture: x\[1, 1\] is True"),
        (["a", b"b"], r"received a mixture: x\[1\] is b'b'\n  hint: use text.decode\(\)"),
        (np.array([b"a", "b"], object), r"received a mixture: x\[1\] is 'b'"),
        (["a", "b\ud800"], r"x must hold Unicode texts, received a lone surrogate: .*\n  hint: use text.encode"),
    ],
)
def test_texts_are_never_converted_silently(texts, problem):
    with pytest.raises((TypeError, ValueError), match=problem):
        dk_data.from_arrays(texts)
