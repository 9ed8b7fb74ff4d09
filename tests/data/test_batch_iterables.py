"""PyDatasets, generators, iterables and DataLoaders as datasets."""

import threading

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

from deepkit.data.batch_iterables import as_dataset, is_batch_iterable
from deepkit.data.source_errors import original_errors


def numbered(count, size=4):
    """Yield batches whose x holds the number of the batch."""
    for number in range(count):
        yield np.full((size, 2), number, "float64"), np.zeros(size, "int64")


class Loader:
    """An iterable of batches with a length."""

    def __init__(self, count, length=None):
        self.count, self.length, self.num_started = count, count if length is None else length, 0

    def __len__(self):
        return self.length

    def __iter__(self):
        self.num_started += 1
        return numbered(self.count)


class Numbered(keras.utils.PyDataset):
    def __init__(self, count, **kwargs):
        super().__init__(**kwargs)
        self.count, self.threads = count, set()

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        self.threads.add(threading.get_ident())
        return np.full((4, 2), index, "float32"), np.zeros(4)


def epochs(dataset, count):
    """Return the numbers of the batches of each epoch."""
    with original_errors():
        return [[int(x[0, 0]) for x, _ in dataset] for _ in range(count)]


def error_of(*batches, epoch=True):
    """Return the error that batches raise: at once, or in the first epoch."""

    def read():
        with original_errors():
            dataset = as_dataset(lambda: iter(batches), "data")
            return list(dataset) if epoch else []

    with pytest.raises((TypeError, ValueError)) as error:
        read()
    return str(error.value)


@pytest.mark.parametrize(
    ("value", "steps", "expected"),
    [
        (lambda: numbered(3), None, [[0, 1, 2]] * 3),
        (lambda: Loader(3), None, [[0, 1, 2]] * 3),
        (lambda: numbered(3), 2, [[0, 1], [2, 0], [1, 2]]),
        (numbered(6), 2, [[0, 1], [2, 3], [4, 5]]),
        (Loader(3), None, [[0, 1, 2]] * 3),
        (Loader(3), 2, [[0, 1], [2, 0], [1, 2]]),
        (Loader(1), None, [[0]] * 3),
        (Numbered(3), None, [[0, 1, 2]] * 3),
        (Numbered(5, workers=2), None, [[0, 1, 2, 3, 4]] * 3),
        (Numbered(3), 2, [[0, 1], [2, 0], [1, 2]]),
    ],
)
def test_an_epoch_is_one_iteration_or_the_next_steps_and_no_batch_is_lost(value, steps, expected):
    dataset = as_dataset(value, "data", steps)
    assert [int(x[0, 0]) for x, _ in dataset.first_batch] == [0]
    assert epochs(dataset, 3) == expected


def test_the_number_of_batches_is_the_number_of_steps_or_the_stated_length():
    values = [(numbered(9), 4), (Loader(3), None), (Numbered(3), None), (lambda: numbered(3), None)]
    assert [int(as_dataset(value, "data", steps).cardinality()) for value, steps in values] == [
        4,
        3,
        3,
        tf.data.UNKNOWN_CARDINALITY,
    ]


def test_an_iterable_is_started_once_in_each_epoch():
    loader = Loader(3)
    epochs(as_dataset(loader, "data"), 4)
    assert loader.num_started == 4


def test_the_workers_of_a_py_dataset_are_threads():
    dataset = Numbered(12, workers=3)
    epochs(as_dataset(dataset, "data"), 2)
    assert len(dataset.threads) > 1


def test_a_generator_that_ends_in_a_later_epoch_raises_an_error():
    with pytest.raises(ValueError, match="data: the generator ended after 5 batches, in epoch 2 of 3 batches") as error:
        epochs(as_dataset(numbered(5), "data", 3), 2)
    assert "hint: pass a function that returns a new generator" in str(error.value)
    with pytest.raises(ValueError, match="can be read only once, and ended after 3 batches, before epoch 2"):
        epochs(as_dataset(numbered(3), "data", 3), 2)
    generator = numbered(3)
    with pytest.raises(ValueError, match="the function has no batch in epoch 2\n  hint: return a new iterator"):
        epochs(as_dataset(lambda: generator, "data"), 2)


@pytest.mark.parametrize(
    ("value", "name", "problem", "hint"),
    [
        (numbered(3), "data", "the generator does not state its number of batches", "pass steps_per_epoch="),
        (numbered(3), "validation_data", "does not state its number of batches", "pass validation_steps="),
        (numbered(0), "data", "the generator does not state", "a function that returns a new generator"),
        (lambda: iter([]), "data", "data: the function has no batch", "return at least one batch"),
        (lambda: 3, "data", "an iterable of batches, <lambda> returned 3", "pass a function without arguments"),
        (lambda size: numbered(size), "data", "the function <lambda> needs arguments", "functools.partial"),
        (Loader(0), "data", "the Loader has no batch", "return at least one batch"),
        (Numbered(0), "data", "the PyDataset Numbered has no batch", "return at least one batch"),
    ],
)
def test_an_object_without_length_or_batches_raises_an_error(value, name, problem, hint):
    with pytest.raises((TypeError, ValueError)) as error:
        as_dataset(value, name)
    text, _, suggestion = str(error.value).partition("\n  hint: ")
    assert problem in text
    assert hint in suggestion


@pytest.mark.parametrize(("length", "received"), [(5, "has 3 in epoch 1"), (2, "has more in epoch 1")])
def test_a_length_that_is_not_the_number_of_batches_raises_an_error(length, received):
    with pytest.raises(ValueError, match=f"the Loader states {length} batches, and {received}") as error:
        epochs(as_dataset(Loader(3, length), "data"), 1)
    assert "hint: return the number of batches, not of examples, from __len__" in str(error.value)


def test_a_generator_that_is_read_once_needs_no_length():
    assert epochs(as_dataset(numbered(3), "x", reads_once=True), 1) == [[0, 1, 2]]


def test_a_later_batch_that_differs_is_named():
    x, y = np.zeros((4, 2), "float32"), np.zeros(4, "int64")
    expected = r"expected (batch, 2) and float32, as in the first"
    text = error_of((x, y), (x, y), (x[..., None], y))
    assert f"data: x of batch 3 of epoch 1 has the shape (4, 2, 1) and the dtype float32, {expected}" in text
    text = error_of((x, y), (x, y), (x.astype(int), y))
    assert "the dtype int64" in text
    assert "hint: return one dtype in all batches, for example with astype('float32')" in text
    text = error_of(({"a": x}, y), ({"a": x}, y), ({"a": x[:, :1]}, y))
    assert "x['a'] of batch 3 of epoch 1 has the shape (4, 1)" in text
    assert "y of batch 2 has the shape (4,) and the dtype float32, expected (batch,) and int64" in error_of(
        (x, y), (x, y / 2), epoch=False
    )
    assert "expected the structure of the first batch" in error_of((x, y), (x, y), x)


def test_invalid_batches_are_named():
    x, y = np.zeros((4, 2)), np.zeros(4)
    batch_hint = "hint: yield whole batches, such as (x[i : i + 32], y[i : i + 32])"
    text = error_of((x[0], 1), epoch=False)
    assert "data: y of batch 1 has no batch axis, received 1" in text
    assert batch_hint in text
    text = error_of((x, y[:3]), epoch=False)
    assert "batch 1 has arrays of different lengths, their shapes are (4, 2), (3,)" in text
    assert batch_hint in text
    assert "x of batch 1 has no examples, its shape is (0, 2)" in error_of((x[:0], y[:0]), epoch=False)
    assert "received 4 elements in batch 1" in error_of((x, y, y, y), epoch=False)
    assert "received (None, " in error_of((None, y), epoch=False)
    frame = pd.DataFrame({"age": [1.0, None]})
    assert "x of batch 1: the column 'age' has a missing value in row 1" in error_of((frame, y[:2]), epoch=False)


def test_batches_may_have_any_structure_and_different_sizes():
    batches = [
        [{"a": [[1.0, 2.0]], "b": ["x"]}, [1], None],
        ({"a": [[1.0, 2.0, 3.0]] * 2, "b": ["é", "y"]}, [1, 2]),
    ]
    dataset = as_dataset(lambda: iter(batches), "data")
    x, y = dataset.element_spec
    assert (x["a"], x["b"], y) == (
        tf.TensorSpec((None, None), tf.float32),
        tf.TensorSpec((None,), tf.string),
        tf.TensorSpec((None,), tf.int64),
    )
    assert [batch[0]["b"].numpy().tolist() for batch in dataset] == [[b"x"], ["é".encode(), b"y"]]
    assert as_dataset(lambda: iter([np.zeros((2, 3))]), "data").element_spec.shape == (None, 3)
    weighted = (np.zeros((2, 3)), np.zeros(2), np.ones(2))
    assert len(as_dataset(lambda: iter([weighted]), "data").element_spec) == 3


def test_the_error_of_the_users_code_is_raised():
    def broken():
        yield from numbered(3)
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        epochs(as_dataset(broken, "data"), 1)


def test_arrays_tables_and_models_are_not_iterables_of_batches():
    x = np.zeros(3)
    others = [x, [x, x], (x, x), {"a": x}, tf.constant(x), tf.data.Dataset.range(3), pd.Series(x), "a", 3, None]
    others += [keras.layers.Dense(1), Numbered, keras.Input((2,))]
    assert [is_batch_iterable(value) for value in others] == [False] * len(others)
    assert all(is_batch_iterable(value) for value in (numbered, numbered(1), Loader(1), Numbered(1), map(np.abs, [x])))


def test_notes_name_batches_that_are_never_shuffled_and_processes():
    assert as_dataset(Numbered(2), "data").notes == (
        "data: the batches of the PyDataset Numbered are read in its order; shuffle them in on_epoch_end()",
    )

    class Shuffled(Numbered):
        def on_epoch_end(self):
            pass

    processes = Shuffled(2, workers=2, use_multiprocessing=True)
    assert as_dataset(processes, "data").notes == (
        "data: the PyDataset Shuffled is read by 2 threads instead of processes",
    )
    assert as_dataset(Loader(2), "data").notes == ()


def test_a_data_loader_of_pytorch():
    torch = pytest.importorskip("torch")
    data = torch.utils.data.TensorDataset(torch.arange(10.0)[:, None].repeat(1, 2), torch.arange(10))
    loader = torch.utils.data.DataLoader(data, batch_size=4)
    assert epochs(as_dataset(loader, "data"), 2) == [[0, 4, 8]] * 2
    with pytest.raises(TypeError, match="the PyTorch dataset TensorDataset") as error:
        as_dataset(data, "data")
    assert "hint: pass torch.utils.data.DataLoader(dataset, batch_size=32)" in str(error.value)
    with pytest.raises(ValueError, match="has no batch axis") as error:
        as_dataset(torch.utils.data.DataLoader(data, batch_size=None), "data")
    assert "hint: pass batch_size=32 to the DataLoader" in str(error.value)
    workers = torch.utils.data.DataLoader(data, batch_size=4, num_workers=1)
    assert epochs(as_dataset(workers, "data"), 2) == [[0, 4, 8]] * 2
