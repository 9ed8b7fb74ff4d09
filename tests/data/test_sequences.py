"""Generated sequences: labels that follow from the sequences, functions of the arguments, and errors."""

import numpy as np
import pytest
from keras import layers

import deepkit as dk
from deepkit.data.sequence_generators import KINDS


def split_arrays(data):
    return [array for split in (data.train, data.test) for array in (split.unscaled_arrays(), split.labels_in_memory)]


@pytest.mark.parametrize("length", [2, 5, 100])
def test_the_label_of_the_adding_problem_is_the_sum_of_the_two_marked_numbers(length):
    data = dk.data.sequences("adding", 3000, length=length, seed=3)
    x, y, test_x, test_y = split_arrays(data)
    assert (x.shape, x.dtype, y.shape, y.dtype) == ((3000, length, 2), "float32", (3000, 1), "float32")
    assert (data.input_shape, data.num_classes, test_x.shape) == ((length, 2), None, x.shape)
    for values, sums in ((x, y), (test_x, test_y)):
        numbers, markers = values[..., 0], values[..., 1]
        assert set(np.unique(markers)) <= {0, 1}
        half = length // 2
        np.testing.assert_array_equal(markers[:, :half].sum(1), 1)
        np.testing.assert_array_equal(markers[:, half:].sum(1), 1)
        assert markers.any(axis=0).all()  # every step is marked in some sequence
        np.testing.assert_allclose((numbers * markers).sum(1, keepdims=True), sums, rtol=1e-6)
        assert 0 <= numbers.min() < 0.01 < 0.99 < numbers.max() < 1
    assert np.mean((y - 1) ** 2) == pytest.approx(1 / 6, rel=0.08)


def test_the_symbols_to_copy_precede_the_lag_and_the_signal_ends_it():
    data = dk.data.sequences("copying", 2000, lag=7, num_symbols=3, num_classes=4, seed=1)
    x, y, test_x, test_y = split_arrays(data)
    assert (x.shape, x.dtype, y.shape, y.dtype) == ((2000, 13), "int32", (2000, 3), "int64")
    assert (data.input_shape, data.num_classes) == ((13,), 4)
    for tokens, symbols in ((x, y), (test_x, test_y)):
        np.testing.assert_array_equal(tokens[:, :3], symbols)
        np.testing.assert_array_equal(tokens[:, 3:], len(tokens) * [[4] * 6 + [5] + [4] * 3])
        np.testing.assert_allclose(np.bincount(symbols.ravel()) / symbols.size, 0.25, atol=0.03)


def test_the_defaults_are_those_of_the_papers():
    assert dk.data.sequences("adding", 2).input_shape == (100, 2)
    copying = dk.data.sequences("copying", 2)
    assert (copying.input_shape, copying.num_classes) == ((120,), 8)
    assert dk.data.sequences("copying", 2, lag=1000, num_symbols=1).input_shape == (1002,)


@pytest.mark.parametrize("kind", KINDS)
def test_sequences_are_functions_of_the_arguments_and_the_test_is_independent(kind):
    state = str(np.random.get_state())
    first, second, other = (dk.data.sequences(kind, 50, seed=seed) for seed in (2, 2, 3))
    for name in ("train", "test"):
        prints = [getattr(data, name).fingerprint for data in (first, second, other)]  # of the contents
        assert prints[0] == prints[1] != prints[2]
    assert str(np.random.get_state()) == state
    x, _, test_x, _ = split_arrays(first)
    assert not {row.tobytes() for row in x} & {row.tobytes() for row in test_x}


def test_the_summary_names_kind_seed_and_arguments():
    data = dk.data.sequences("copying", 30, lag=5, num_symbols=1, seed=4, validation=0.2, batch_size=6)
    assert data.describe() == (
        "copying (seed 4, lag 5, num_symbols 1, num_classes 8): 24 train, 6 validation, 30 test; generated"
    )
    assert (data.name, data.source, data.train.batch_size) == ("copying", "generated", 6)
    assert len(dk.data.sequences("adding", 8, length=4).show(2).axes) == 1


def network(data, num_symbols):
    """Return a classifier of the last state, or of the last steps for several symbols."""
    is_sequence = num_symbols > 1
    crop = [layers.Cropping1D((data.input_shape[0] - num_symbols, 0))] if is_sequence else []
    recurrent = dk.Recurrent("gru", 4, return_sequences=is_sequence)
    return dk.Sequential([layers.Embedding(5, 4), recurrent, *crop, dk.Classifier(3, pool=None)])


@pytest.mark.slow
@pytest.mark.parametrize(("num_symbols", "shape"), [(1, (64, 3)), (2, (64, 2, 3))])
def test_fit_recalls_symbols_and_resumes(num_symbols, shape, tmp_path):
    for epochs in (1, 2):
        data = dk.data.sequences("copying", 64, lag=2, num_symbols=num_symbols, num_classes=3)
        run = dk.fit(network(data, num_symbols), data, epochs=epochs, run_dir=tmp_path / "run", verbose=0)
    assert (run.resume, run.epochs) == ("exact", 2)
    assert run.model.predict(data.test, verbose=0).shape == shape


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (
            lambda: dk.data.sequences("adding problem"),
            ValueError,
            "sequences: kind must be one of 'adding', 'copying', received 'adding problem'; did you mean 'adding'?\n"
            '  hint: use dk.data.sequences("adding")',
        ),
        (
            lambda: dk.data.sequences("adding", lag=5),
            ValueError,
            "sequences: 'adding' takes no lag, received lag=5\n  hint: leave lag out; it is an argument of 'copying'",
        ),
        (
            lambda: dk.data.sequences("copying", length=5),
            ValueError,
            "sequences: 'copying' takes no length, received length=5\n"
            "  hint: leave length out; it is an argument of 'adding'",
        ),
        (
            lambda: dk.data.sequences("adding", length=1),
            ValueError,
            "sequences: length must be an integer of at least 2, received 1\n  hint: use length=100",
        ),
        (
            lambda: dk.data.sequences("copying", lag=0),
            ValueError,
            "sequences: lag must be a positive integer, received 0\n  hint: use lag=100",
        ),
        (
            lambda: dk.data.sequences("copying", num_symbols=1.5),
            ValueError,
            "sequences: num_symbols must be a positive integer, received 1.5\n  hint: use num_symbols=10",
        ),
        (
            lambda: dk.data.sequences("copying", num_classes=1),
            ValueError,
            "sequences: num_classes must be an integer of at least 2, received 1\n  hint: use num_classes=8",
        ),
        (
            lambda: dk.data.sequences("adding", length=10**9),
            ValueError,
            "sequences: length must be at most 1,000,000, received 1000000000\n  hint: use length=100",
        ),
        (
            lambda: dk.data.sequences("adding", 0),
            ValueError,
            "sequences: num_examples must be a positive integer, received 0\n  hint: use num_examples=1000",
        ),
        (
            lambda: dk.data.sequences("adding", 10**12),
            ValueError,
            "sequences: num_examples must be at most 10,000,000, received 1000000000000",
        ),
        (lambda: dk.data.sequences("adding", seed=-1), ValueError, "seed must be an integer of at least 0"),
        (lambda: dk.data.sequences("adding", batch_size=0), ValueError, "batch_size must be a positive integer"),
        (lambda: dk.data.sequences("adding", validation="some"), TypeError, "validation must be a number of examples"),
    ],
)
def test_wrong_arguments_are_named(call, error, text):
    with pytest.raises(error) as caught:
        call()
    assert str(caught.value).startswith(text)
