import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds

from deepkit import data as dk_data
from deepkit.data import Affine, Elastic, Shift
from tests.data.tiny import ManyShapes, epoch, numbers


def arrays(count=20, **options):
    images = np.random.RandomState(0).randint(0, 255, (count, 6, 6, 1), "uint8")
    images[:, 0, 0, 0] = np.arange(count)
    return dk_data.from_arrays(images, np.arange(count) % 4, **{"batch_size": 8, **options})


def same(left, right):
    return len(left) == len(right) and all(
        np.array_equal(a, b) for a, b in zip(tf.nest.flatten(left), tf.nest.flatten(right), strict=True)
    )


@pytest.fixture(params=["memory", "disk"])
def tiny(request, prepared, monkeypatch):
    """Training data with augmentation, from memory and from files that are read in any order."""
    if request.param == "disk":
        monkeypatch.setattr("deepkit.data.memory.available_bytes", lambda: 1000)

    def make(**options):
        options = {
            "batch_size": 8,
            "validation": 0,
            "augment": [Affine(20), Elastic(8, 2)],
            "verbose": False,
            **options,
        }
        return dk_data.load("tiny_shapes", data_dir=prepared, **options)

    return make


def test_a_pipeline_is_a_dataset_with_properties_and_a_repr():
    train = arrays().train
    assert isinstance(train, tf.data.Dataset)
    assert (train.num_examples, train.batch_size, train.steps, len(train)) == (20, 8, 3, 3)
    assert (train.seed, train.is_shuffled, train.is_reproducible) == (0, True, True)
    assert repr(train) == "<Pipeline arrays train: 20 examples in 3 batches of 8>"
    assert train.element_spec[0].shape.as_list() == [None, 6, 6, 1]


def test_each_epoch_has_every_example_once_in_a_new_order(tiny):
    train = tiny(augment=()).train
    orders = [numbers(train) for _ in range(3)]
    assert all(sorted(order) == list(range(40)) for order in orders)
    assert len({tuple(order) for order in orders}) == 3


def test_epochs_from_k_start_with_the_kth_iteration(tiny):
    train = tiny().train
    iterations = [epoch(train) for _ in range(3)]
    for start in range(3):
        assert same(epoch(train.epochs(start).take(train.steps)), iterations[start])
    infinite = epoch(train.epochs().take(3 * train.steps))
    assert same(infinite, [batch for batches in iterations for batch in batches])


def test_epochs_end_with_their_own_last_batch():
    train = arrays().train
    assert [len(y) for _, y in epoch(train.epochs(4).take(7))] == [8, 8, 4, 8, 8, 4, 8]
    assert tf.data.experimental.cardinality(train.epochs()).numpy() == tf.data.INFINITE_CARDINALITY


def test_global_seeds_have_no_effect(tiny):
    first = epoch(tiny().train)
    tf.random.set_seed(99)
    assert same(epoch(tiny().train), first)


def test_seeds_change_the_batches(tiny):
    train = tiny().train
    assert not same(epoch(train.reseed(1)), epoch(train.reseed(2)))
    assert same(epoch(train.reseed(5)), epoch(tiny(seed=5).train))


def test_the_test_pipeline_yields_the_same_batches_each_time(tiny):
    test = tiny().test
    assert not test.is_shuffled
    assert same(epoch(test), epoch(test))
    assert same(epoch(test), epoch(test.epochs(3).take(test.steps)))


def test_memory_and_disk_yield_the_same_batches(prepared, monkeypatch):
    def make():
        return dk_data.load("tiny_shapes", data_dir=prepared, augment=[Shift(1)], batch_size=8, verbose=False)

    in_memory = make()
    monkeypatch.setattr("deepkit.data.memory.available_bytes", lambda: 1000)
    on_disk = make()
    for split in ("train", "validation", "test"):
        left, right = getattr(in_memory, split), getattr(on_disk, split)
        assert same(epoch(left.epochs(2).take(left.steps)), epoch(right.epochs(2).take(left.steps)))


def test_examples_of_many_files_are_in_the_same_order_in_memory_and_on_disk(tmp_path, monkeypatch):
    config = tfds.download.DownloadConfig(num_shards=20)
    ManyShapes(data_dir=tmp_path).download_and_prepare(download_config=config)
    assert len(list(tmp_path.glob("*/*/*train.tfrecord*"))) == 20
    in_memory = dk_data.load("many_shapes", data_dir=tmp_path, validation=100, verbose=False)
    monkeypatch.setattr("deepkit.data.memory.available_bytes", lambda: 1000)
    on_disk = dk_data.load("many_shapes", data_dir=tmp_path, validation=100, verbose=False)
    for split in ("train", "validation"):
        assert same(getattr(in_memory, split).arrays(), getattr(on_disk, split).arrays())


def test_memory_and_stream_yield_the_same_examples(prepared, monkeypatch):
    def make():
        return dk_data.load("tiny_shapes", data_dir=prepared, augment=[Shift(1)], batch_size=8, verbose=False)

    def augmented(train):
        unaugmented = train.arrays()
        assert len(unaugmented[0]) == train.num_examples
        batches = epoch(train.epochs(2).take(train.steps))
        return unaugmented, sorted(image.tobytes() for x, _ in batches for image in x)

    in_memory = make()
    monkeypatch.setattr("deepkit.data.memory.available_bytes", lambda: 1000)
    monkeypatch.setattr("deepkit.data.tfds_reader.TFDSReader.has_records", False)
    streamed = make()
    assert "read again in each epoch" in streamed.describe()
    assert "dk.data.write_records" in streamed.describe()
    assert "read again" not in in_memory.describe()
    for split in ("train", "validation", "test"):
        assert same(getattr(in_memory, split).arrays(), getattr(streamed, split).arrays())
    (examples, pixels), (streamed_examples, streamed_pixels) = augmented(in_memory.train), augmented(streamed.train)
    assert same(examples, streamed_examples)
    assert pixels == streamed_pixels  # the augmentations are equal, the orders differ
    orders = [numbers(streamed.train.in_random_order(seed)) for seed in range(2)]
    assert orders[0] != orders[1]
    assert sorted(orders[0]) == sorted(orders[1])


def test_head_returns_the_first_examples_from_memory_and_from_a_stream(prepared, monkeypatch):
    def make():
        return dk_data.load("tiny_shapes", data_dir=prepared, batch_size=8, verbose=False)

    whole = make()
    short = whole.head(10)
    assert same(short.train.arrays(), whole.train.arrays(10))
    assert short.test.num_examples == min(10, whole.test.num_examples)
    labels = np.concatenate([y for _, y in epoch(short.train)])
    assert sorted(labels) == sorted(whole.train.arrays(10)[1])
    assert short.train.fingerprint != whole.train.fingerprint
    monkeypatch.setattr("deepkit.data.memory.available_bytes", lambda: 1000)
    monkeypatch.setattr("deepkit.data.tfds_reader.TFDSReader.has_records", False)
    streamed = make().head(10)
    assert same(streamed.train.arrays(), short.train.arrays())
    assert [len(y) for _, y in epoch(streamed.train)] == [8, 2]


def test_augmentation_does_not_depend_on_the_batch_size(tiny):
    train = tiny().train

    def pixels(batch_size):
        batches = epoch(train.rebatch(batch_size).epochs(1).take(-(-40 // batch_size)))
        return np.concatenate([x for x, _ in batches])

    np.testing.assert_array_equal(pixels(7), pixels(64))


def test_rebatch_keeps_the_order():
    train = arrays().train
    assert numbers(train.rebatch(3)) == numbers(arrays().train)
    assert train.rebatch(3).steps == 7
    dropped = train.rebatch(drop_remainder=True)
    assert (dropped.steps, [len(y) for _, y in epoch(dropped)]) == (2, [8, 8])
    assert dropped.element_spec[1].shape.as_list() == [8]
    assert isinstance(train.rebatch(5), dk_data.Pipeline)


def test_rebatch_with_a_tensor_splits_batches_as_tf_distribute_requires():
    halves = arrays().train.rebatch(tf.constant([4, 4], tf.int64))
    assert [len(y) for _, y in epoch(halves)] == [4, 4, 4, 4, 4]


def test_augment_appends_and_does_not_change_the_original():
    data = arrays(augment=[Shift(1)])
    extended = data.train.augment(Affine(10))
    assert same(epoch(extended), epoch(arrays(augment=[Shift(1), Affine(10)]).train))
    assert not same(epoch(data.train.epochs().take(3)), epoch(extended.epochs().take(3)))


def test_arrays_are_not_augmented_and_in_order():
    x, y = arrays(augment=[Shift(2)]).train.arrays(5)
    assert x[:, 0, 0, 0].tolist() == [0, 1, 2, 3, 4]
    assert y.tolist() == [0, 1, 2, 3, 0]
    assert x.dtype == np.uint8
    assert len(arrays().train.arrays()[0]) == 20
    assert len(dk_data.from_arrays(np.zeros((5, 2))).train.arrays(99)) == 1


def test_the_fingerprint_changes_with_everything_that_changes_the_batches():
    base = arrays()
    images = np.zeros((20, 6, 6, 1), "uint8")
    others = [
        base.train.rebatch(4), base.train.rebatch(drop_remainder=True), base.train.reseed(1),
        base.train.augment(Shift(1)), base.train.augment(Shift(2)), arrays(validation=4).train,
        arrays(map=lambda x: x / 255).train,
        arrays(map=lambda x: x / 254).train, arrays(shuffle=False).train,
        dk_data.from_arrays(images, np.arange(20) % 4, batch_size=8).train,
    ]  # fmt: skip
    fingerprints = [base.train.fingerprint, *(other.fingerprint for other in others)]
    assert len(set(fingerprints)) == len(fingerprints)
    assert arrays().train.fingerprint == arrays(name="other").train.fingerprint == base.train.fingerprint


PROCESS = """
import hashlib, sys
import numpy as np
from deepkit import data as dk_data
from deepkit.data import Affine, Elastic, memory

scale = 255.0
for num_bytes in (2**40, 1000):
    memory.available_bytes = lambda: num_bytes
    train = dk_data.load("tiny_shapes", data_dir=sys.argv[1], batch_size=8, augment=[Affine(20), Elastic(8, 2)], seed=3,
                         map=lambda x: x / scale if "a" in {"a", "b", "c"} else x, verbose=False).train
    text = b"".join(x.numpy().tobytes() + y.numpy().tobytes() for x, y in train.epochs(2).take(2 * train.steps))
    print(hashlib.sha256(text).hexdigest(), train.fingerprint)
"""


def test_a_new_process_yields_the_same_batches_and_fingerprint(prepared, monkeypatch, capsys):
    """The process has another hash seed and no code for the dataset; both from memory and from disk."""
    expected = subprocess.run(
        [sys.executable, "-c", PROCESS, str(prepared)],
        capture_output=True,
        text=True,
        check=True,
        env={"PATH": "", "PYTHONHASHSEED": "1", "TF_CPP_MIN_LOG_LEVEL": "3", "HOME": str(prepared)},
    ).stdout
    monkeypatch.setattr("deepkit.data.memory.available_bytes", None)  # restored after the test
    monkeypatch.setattr(sys, "argv", ["-c", str(prepared)])
    exec(PROCESS, {"__name__": "__main__"})
    assert capsys.readouterr().out == expected
    (batches, fingerprint), (batches_from_disk, fingerprint_of_files) = map(str.split, expected.splitlines())
    assert batches == batches_from_disk
    assert fingerprint != fingerprint_of_files


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda train: train.epochs(-1), "Pipeline.epochs: start must be an integer of at least 0, received -1"),
        (lambda train: train.rebatch(0), "batch_size must be a positive integer, received 0"),
        (lambda train: train.rebatch(2.5), "batch_size must be a positive integer, received 2.5"),
        (
            lambda train: train.rebatch(32, drop_remainder=True),
            r"leaves no batch of 20 examples\n  hint: use a batch_size of at most 20",
        ),
        (lambda train: train.reseed(-3), "seed must be an integer of at least 0, received -3"),
        (lambda train: train.head(0), "Pipeline.head: num_examples must be a positive integer, received 0"),
        (lambda train: train.arrays(0), "Pipeline.arrays: num_examples must be a positive integer, received 0"),
    ],
)
def test_wrong_arguments_raise(make, text):
    with pytest.raises(ValueError, match=text):
        make(arrays().train)


def classifier(shape=(6, 6, 1)):
    model = keras.Sequential([keras.Input(shape), keras.layers.Flatten(), keras.layers.Dense(4)])
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
    return model


def test_keras_fits_evaluates_and_predicts(tiny):
    data = tiny(validation=8)
    model = classifier()
    history = model.fit(data.train, validation_data=data.validation, epochs=2, verbose=0, shuffle=False).history
    assert len(history["val_loss"]) == 2
    assert model.predict(data.test, verbose=0).shape == (10, 4)
    assert np.isfinite(model.evaluate(data.test, verbose=0)).all()


def test_keras_receives_epochs_0_1_2():
    data = arrays(augment=[Shift(2)])
    stateful, stateless = classifier(), classifier()
    stateless.set_weights(stateful.get_weights())
    stateful.fit(data.train, epochs=3, verbose=0, shuffle=False)
    stateless.fit(data.train.epochs(), steps_per_epoch=data.train.steps, epochs=3, verbose=0, shuffle=False)
    for left, right in zip(stateful.get_weights(), stateless.get_weights(), strict=True):
        np.testing.assert_array_equal(left, right)


def test_other_dataset_methods_work(tiny):
    train = tiny().train
    assert len(list(train.take(2))) == 2
    assert next(iter(train.map(lambda x, y: x * 2))).shape == (8, 6, 6, 1)
    assert len(list(train.repeat(2))) == 2 * train.steps


STRATEGY = """
import tensorflow as tf
import tensorflow_datasets as tfds
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
import keras, numpy as np, sys
from deepkit import data as dk_data
from deepkit.data import Affine, memory

def make():
    data = dk_data.load("tiny_shapes", data_dir=sys.argv[1], batch_size=8, augment=[Affine(20)], verbose=False)
    dense = keras.layers.Dense(4, kernel_initializer="ones")
    model = keras.Sequential([keras.Input((6, 6, 1)), keras.layers.Flatten(), dense])
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return data, model

for num_bytes in (2**40, 1000):
    memory.available_bytes = lambda: num_bytes
    weights = []
    for strategy in (tf.distribute.get_strategy(), tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])):
        with strategy.scope():
            data, model = make()
            train = data.train.rebatch(drop_remainder=True)
            model.fit(train.epochs(), steps_per_epoch=train.steps, epochs=2, verbose=0, shuffle=False)
            weights.append(np.concatenate([w.ravel() for w in model.get_weights()]))
            model.fit(train, validation_data=data.validation, verbose=0, shuffle=False)
    np.testing.assert_allclose(*weights, atol=1e-5)
    batches = strategy.experimental_distribute_dataset(train)
    sizes = [[local.shape[0] for local in strategy.experimental_local_results(x)] for x, _ in batches]
    assert sizes == [[4, 4]] * train.steps, sizes
print("equal")
"""


@pytest.mark.slow
def test_two_devices_train_like_one(prepared):
    process = subprocess.run([sys.executable, "-c", STRATEGY, str(prepared)], capture_output=True, text=True)
    assert process.stdout.strip() == "equal", process.stderr[-2000:]


def test_the_order_has_not_changed():
    # a change of this order changes every recorded result
    assert numbers(arrays().train.reseed(7).epochs(3).take(1)) == [0, 16, 3, 7, 12, 5, 2, 9]
