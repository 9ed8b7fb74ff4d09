import json
import shutil

import numpy as np
import pytest
import tensorflow as tf

import deepkit as dk
from benchmarks import streaming
from deepkit.data import DataError
from deepkit.data.record_index import INDEX_FILE
from deepkit.data.source_errors import original_errors
from tests.data.tiny import epoch


def image_arrays(num_examples=100):
    generator = np.random.default_rng(0)
    x = generator.integers(0, 256, (num_examples, 6, 5, 3)).astype("uint8")
    return x, generator.integers(0, 3, num_examples)


def write(data, tmp_path, **arguments):
    return dk.data.write_records(data, tmp_path / "records", **{"verbose": False, **arguments})


def read(path, **arguments):
    return dk.data.from_records(path, **{"verbose": False, **arguments})


def assert_equal_batches(left, right):
    left, right = list(left), list(right)
    assert len(left) == len(right)
    for batch, other in zip(left, right, strict=True):
        tf.nest.assert_same_structure(batch, other)
        for leaf, other_leaf in zip(tf.nest.flatten(batch), tf.nest.flatten(other), strict=True):
            assert leaf.dtype == other_leaf.dtype
            np.testing.assert_array_equal(leaf, other_leaf)


@pytest.fixture
def folder(tmp_path):
    """Images and labels in several files."""
    return write(image_arrays(), tmp_path, max_shard_bytes=2000)


def test_the_batches_of_every_epoch_equal_those_in_memory(folder):
    settings = {"batch_size": 8, "seed": 3, "augment": [dk.data.Flip()]}
    data, arrays = read(folder, **settings), dk.data.from_arrays(*image_arrays(), **settings)
    assert len(list(folder.glob("*.tfrecord"))) > 3
    assert_equal_batches(data.train.epochs(4).take(20), arrays.train.epochs(4).take(20))
    assert data.train.element_spec == arrays.train.element_spec
    assert (data.num_classes, data.input_shape) == (3, (6, 5, 3))


def test_the_order_is_a_permutation_that_mixes_the_files(tmp_path):
    path = write(np.arange(1000), tmp_path, max_shard_bytes=1000)
    pipeline = read(path, batch_size=50).train
    order = np.concatenate([x.numpy() for x in pipeline])
    assert sorted(order.tolist()) == list(range(1000))
    means = order.reshape(20, 50).mean(1)  # of a sequential order from 25 to 975
    assert means.std() < 3 * 1000 / np.sqrt(12 * 50)


DTYPES = ("bool", "int8", "int64", "uint16", "uint32", "uint64", "float16", "bfloat16", "float64", "complex64")


def test_every_dtype_is_read_unchanged(tmp_path):
    numbers = np.arange(12).reshape(6, 2)
    x = {dtype: tf.cast(numbers, dtype) for dtype in DTYPES} | {"string": tf.strings.as_string(numbers) + "\0"}
    path = write(tf.data.Dataset.from_tensor_slices((x, numbers[:, 0])).batch(4), tmp_path)
    batches = read(path, batch_size=6).train.in_order()
    assert_equal_batches(batches, [(x, tf.constant(numbers[:, 0]))])


def test_mappings_weights_and_strings_are_kept(tmp_path):
    x = {"b": np.arange(6.0), "a": np.array(["one", "zwölf", "", "x", "y", "z"])}
    data = dk.data.from_arrays(x, np.arange(6), sample_weight=np.ones(6), batch_size=2)
    assert_equal_batches(read(write(data, tmp_path), batch_size=2).train, data.train)


def test_ragged_tensors_are_read_unchanged(tmp_path):
    rows = [[[1, 2], [3]], [], [[4]], [[], [5, 6, 7]], [[8]]]
    x = {
        "nested": tf.ragged.constant(rows, dtype=tf.int32),
        "vectors": tf.RaggedTensor.from_row_lengths(tf.reshape(tf.range(12.0), (6, 2)), [0, 1, 2, 0, 3]),
        "words": tf.ragged.constant([["a"], [], ["b", "c"], ["d"], [""]]),
    }
    data = read(write(tf.data.Dataset.from_tensor_slices((x, tf.range(5))).ragged_batch(2), tmp_path), batch_size=3)
    batches = [batch[0] for batch in data.train.in_order()]
    for name, tensor in x.items():
        received = tf.concat([batch[name] for batch in batches], 0)
        assert received.to_list() == tensor.to_list()
        assert received.dtype == tensor.dtype
    assert [leaf.shape[0] for batch in data.train for leaf in batch[0].values()] == [3, 3, 3, 2, 2, 2]


def test_the_splits_and_the_metadata_of_data_are_kept(tmp_path):
    data = dk.data.load("digits", batch_size=64, verbose=False)
    copy = read(write(data, tmp_path), batch_size=64)
    assert copy.summary() == data.summary()
    assert (copy.num_classes, copy.class_names) == (data.num_classes, data.class_names)
    for split in ("train", "validation", "test"):
        assert_equal_batches(getattr(copy, split), getattr(data, split))
    assert copy.train.labels_in_memory.tolist() == np.asarray(data.train.labels_in_memory).tolist()


def test_a_table_keeps_its_columns(tmp_path):
    table = {"area": [50.0, None, 120.0, 75.0], "city": ["Oslo", "Rome", "Oslo", None], "price": [1.5, 2.0, 4.5, 1.0]}
    data = dk.data.from_table(table, target="price", verbose=False)
    copy = read(write(data, tmp_path))
    assert copy.columns == data.columns
    assert_equal_batches(copy.train, data.train)


def test_chunks_of_a_table_are_written_one_by_one(tmp_path):
    pandas = pytest.importorskip("pandas")
    file = tmp_path / "houses.csv"
    pandas.DataFrame({"area": np.arange(90.0), "rooms": np.arange(90) % 5, "price": np.arange(90.0) / 10}).to_csv(file)
    chunks = pandas.read_csv(file, chunksize=40)
    path = write(((chunk[["area", "rooms"]], chunk["price"]) for chunk in chunks), tmp_path)
    x, y = read(path).train.arrays()
    assert x[:, 0].tolist() == list(range(90))
    assert y.dtype == "float32"


def test_chunks_of_a_table_with_a_schema_have_its_columns(tmp_path):
    first = {"area": [50.0, 60.0, 70.0], "city": ["Oslo", "Rome", "Oslo"], "price": [1.5, 2.0, 4.5]}
    second = {**first, "area": [50.0, None, 70.0]}
    columns = dk.data.from_table(first, target="price", verbose=False).columns
    chunks = ((columns.convert(chunk, verbose=False), np.array(chunk["price"])) for chunk in (first, second))
    data = read(write(chunks, tmp_path, columns=columns))
    assert data.columns.kinds == {"area": "numeric", "city": "categorical"}
    assert data.columns.with_missing_values == ("area",)
    with pytest.raises(TypeError, match="columns must be a TableSchema"):
        write(np.zeros(3), tmp_path / "other", columns={"area": "numeric"})


def test_a_file_larger_than_the_memory_is_refused_with_the_way_to_read_it(tmp_path, monkeypatch):
    file = tmp_path / "houses.csv"
    file.write_text("area,price\n" + "50,100\n" * 200)
    monkeypatch.setattr("deepkit.data.memory.available_bytes", lambda: 1000)
    with pytest.raises(DataError, match=r"needs at least 1.4 KiB of memory, and 1000.0 bytes are free") as error:
        dk.data.from_table(file, target="price", verbose=False)
    assert "write_records" in error.value.hint


def test_splits_are_passed_as_a_mapping(tmp_path):
    x, y = image_arrays(20)
    batches = tf.data.Dataset.from_tensor_slices((x, y)).batch(6)
    data = read(write({"train": batches, "test": (x[:5], y[:5])}, tmp_path))
    assert data.summary() == "records: 20 train, 5 test"
    assert_equal_batches(data.test, [(tf.constant(x[:5]), tf.constant(y[:5]))])


def test_data_that_is_read_from_disk_is_written(prepared, little_memory, tmp_path):
    data = dk.data.load("tiny_shapes", data_dir=prepared, verbose=False)
    assert data.train.labels_in_memory is None
    copy = read(write(data, tmp_path))
    assert_equal_batches(copy.train.in_order(), data.train.in_order())
    assert copy.train.labels_in_memory is not None


def test_validation_takes_the_last_examples(folder):
    data, (x, y) = read(folder, validation=0.25), image_arrays()
    assert data.summary() == "records: 75 train, 25 validation"
    arrays = dk.data.from_arrays(x, y, validation=0.25)
    for split in ("train", "validation"):
        assert_equal_batches(getattr(data, split), getattr(arrays, split))
    assert data.validation.labels_in_memory.tolist() == y[75:].tolist()
    assert_equal_batches(data.validation.head(10), arrays.validation.head(10))
    assert data.train.fingerprint != data.train.head(50).fingerprint != data.validation.fingerprint


def test_validation_of_sorted_labels_raises(tmp_path):
    path = write((np.zeros((10, 2)), np.arange(10) // 5), tmp_path)
    with pytest.raises(ValueError, match="sorted"):
        read(path, validation=0.5)
    with pytest.raises(ValueError, match="has a validation split"):
        read(write({"train": np.zeros(4), "validation": np.zeros(2)}, tmp_path / "other"), validation=0.5)


def net():
    return dk.Sequential([dk.ConvStack(4, norm=None), dk.Classifier(3)])


def train(data, epochs=2, run_dir=None):
    return dk.fit(net(), data, epochs=epochs, run_dir=run_dir, verbose=0)


def assert_equal_weights(run, other):
    for left, right in zip(run.model.get_weights(), other.model.get_weights(), strict=True):
        np.testing.assert_array_equal(left, right)


@pytest.mark.slow
def test_training_equals_training_on_the_arrays(folder):
    settings = {"batch_size": 16, "validation": 0.2, "augment": [dk.data.Flip()]}
    run = train(read(folder, **settings))
    expected = train(dk.data.from_arrays(*image_arrays(), **settings))
    assert run.history == expected.history
    assert_equal_weights(run, expected)


@pytest.mark.slow
def test_training_resumes_exactly(folder, tmp_path):
    whole = train(read(folder), run_dir=tmp_path / "whole")
    train(read(folder), epochs=1, run_dir=tmp_path / "parts")
    moved = shutil.move(folder, tmp_path / "moved")
    resumed = train(read(moved), run_dir=tmp_path / "parts")
    assert resumed.resume == "exact"
    assert_equal_weights(resumed, whole)


@pytest.mark.slow
def test_other_records_prevent_a_resume(folder, tmp_path):
    train(read(folder), epochs=1, run_dir=tmp_path / "run")
    x, y = image_arrays()
    other = write((x, np.roll(y, 1)), tmp_path / "other")
    with pytest.raises(dk.errors.RunDirError, match="data"):
        train(read(other), run_dir=tmp_path / "run")


@pytest.mark.slow
def test_class_weights_and_text_labels_work(tmp_path):
    x, y = image_arrays(30)
    path = write((x, np.array(["red", "green", "blue"])[y]), tmp_path)
    run = dk.fit(net(), read(path), epochs=1, class_weight="balanced", verbose=0)
    assert run.class_names == ("blue", "green", "red")


def test_nan_is_reported_with_its_index(tmp_path, capsys):
    x = np.zeros((20, 3))
    x[7, 1] = np.nan
    path = write((x, np.zeros(20)), tmp_path, verbose=True)
    assert "1 examples have NaN or infinity in x, the first at index 7" in " ".join(capsys.readouterr().out.split())
    with pytest.raises(ValueError, match=r"received nan \(first at index 7, in 1 of 20 examples\)"):
        dk.fit(dk.Sequential([dk.Regressor(1)]), read(path), epochs=1, verbose=0)


def test_large_labels_are_not_kept_in_memory(tmp_path, monkeypatch):
    monkeypatch.setattr("deepkit.data.split_writer.MAX_LABEL_BYTES", 10)
    data = read(write(image_arrays(), tmp_path))
    assert data.train.labels_in_memory is None
    assert not list((tmp_path / "records").glob("*.npz"))


def test_the_progress_and_the_files_are_printed(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("deepkit.data.record_writing._SECONDS_BETWEEN_MESSAGES", 0.0)
    data = dk.data.from_arrays(*image_arrays(), augment=[dk.data.Flip()], map=lambda x: x / 255)
    dk.data.write_records(data, tmp_path / "images")
    output = " ".join(capsys.readouterr().out.split())
    assert "writing train: 100 of 100 examples" in output
    assert "arrays: 100 train" in output
    assert "not stored: augment= and map=; pass them to dk.data.from_records" in output


def test_the_files_are_those_that_tensorflow_reads(folder):
    files = sorted(map(str, folder.glob("train-*.tfrecord")))
    records = [tf.train.Example.FromString(record.numpy()) for record in tf.data.TFRecordDataset(files)]
    x, y = image_arrays()
    assert [record.features.feature["x"].bytes_list.value[0] for record in records] == [image.tobytes() for image in x]
    assert records[7].features.feature["y"].bytes_list.value[0] == y[7].tobytes()


def test_an_existing_folder_is_not_changed(folder, tmp_path):
    before = {path: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(DataError, match="exists already") as error:
        write(image_arrays(), tmp_path)
    assert "new folder" in error.value.hint
    batches = iter([np.zeros(3)])
    with pytest.raises(DataError, match="exists already"):
        write(batches, tmp_path)
    assert len(list(batches)) == 1  # it was not read
    assert {path: path.read_bytes() for path in folder.iterdir()} == before
    assert [path.name for path in tmp_path.iterdir()] == ["records"]


def test_interrupted_writing_leaves_nothing(tmp_path):
    def batches():
        yield np.zeros((4, 2))
        yield np.zeros((4, 2))
        raise KeyError("no such file")

    with pytest.raises(KeyError, match="no such file"):
        write(batches(), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_without_an_index_is_incomplete(folder):
    (folder / INDEX_FILE).unlink()
    with pytest.raises(DataError, match=r"has no index.json.*interrupted"):
        read(folder)


@pytest.mark.parametrize("name", ["train-00001.tfrecord", "train.entries.npy", "train.labels.npz"])
def test_a_missing_file_is_named(name, folder):
    (folder / name).unlink()
    with pytest.raises(DataError, match=f"{name} is damaged: it is missing"):
        read(folder)


def test_a_truncated_file_is_named_with_the_expected_size(folder):
    path = folder / "train-00002.tfrecord"
    content = path.read_bytes()
    path.write_bytes(content[:-1])
    with pytest.raises(DataError, match=f"{path.name} is damaged: it has .* bytes, expected {len(content):,}"):
        read(folder)


def test_a_changed_byte_of_a_record_is_found_when_it_is_read(folder):
    path = folder / "train-00002.tfrecord"
    content = bytearray(path.read_bytes())
    content[500] ^= 1
    path.write_bytes(content)
    data = read(folder)
    with pytest.raises(tf.errors.OpError, match=f"{path.name} is damaged: the record at byte .* checksum"):
        epoch(data.train)
    with pytest.raises(DataError, match=f"{path.name} is damaged"), original_errors():
        epoch(data.train)


def test_a_changed_index_raises(folder):
    path = folder / INDEX_FILE
    content = json.loads(path.read_text())
    path.write_text(json.dumps(content | {"num_classes": 4}))
    with pytest.raises(DataError, match="checksum"):
        read(folder)
    path.write_text(json.dumps(content | {"format": 2}))
    with pytest.raises(DataError, match="format 2, expected 1"):
        read(folder)
    path.write_text("[]")
    with pytest.raises(DataError, match="not an index"):
        read(folder)


def test_damaged_positions_and_labels_are_named(folder, tmp_path):
    copy = shutil.copytree(folder, tmp_path / "copy")
    np.save(folder / "train.entries.npy", np.zeros(100))
    with pytest.raises(DataError, match=r"entries.npy is damaged: expected the positions of 100 records"):
        read(folder)
    (copy / "train.labels.npz").write_bytes(b"labels")
    with pytest.raises(DataError, match=r"labels.npz is damaged"):
        _ = read(copy).train.labels_in_memory


@pytest.mark.parametrize(
    ("data", "match"),
    [
        ("records.csv", "expected data, received 'records.csv'"),
        (tf.data.Dataset.range(3), "x has no batch axis"),
        (tf.data.Dataset.range(3).batch(2).repeat(), "the dataset is infinite"),
        (tf.data.Dataset.range(0).batch(2), "there are no examples"),
        (tf.data.Dataset.from_tensors((tf.zeros((2, 3)), tf.zeros(3))), "common first axis"),
        (tf.data.Dataset.from_tensors((tf.zeros(2),) * 4), "received 4 elements"),
        (
            {"train": np.zeros((4, 2)), "test": np.zeros((4, 3))},
            r"expected x: float32 \(2,\).*received x: float32 \(3,\)",
        ),
        ({"train": dk.data.from_arrays(np.zeros((4, 2)))}, "expected one split, received a Data"),
    ],
)
def test_other_data_raises(data, match, tmp_path):
    with pytest.raises((TypeError, ValueError), match=match):
        write(data, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_path_must_be_a_path(tmp_path):
    with pytest.raises(TypeError, match="path of a new folder"):
        dk.data.write_records(np.zeros(3), None)
    with pytest.raises(TypeError, match="path of a folder"):
        dk.data.from_records(None)
    with pytest.raises(DataError, match="no such folder"):
        dk.data.from_records(tmp_path / "absent")


@pytest.mark.slow
@pytest.mark.skipif(not streaming.STATUS.is_file(), reason="the system does not report the memory of a process")
def test_the_memory_of_writing_and_reading_is_bounded(tmp_path):
    """Of 300 MB; the benchmark `records-memory` measures 3 GB."""
    assert streaming.in_new_process("write", tmp_path / "images", 300_000_000) < 0.4
    assert streaming.in_new_process("read", tmp_path / "images") < 0.1
