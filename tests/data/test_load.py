import os
import shutil

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds

from deepkit import data as dk_data
from deepkit.data import DataError, download
from deepkit.data import prepared as prepared_data
from tests.data.tiny import IMAGES, TinyLines, TinyShapes, epoch, numbers


def load(name="tiny_shapes", **options):
    return dk_data.load(name, **{"verbose": False, "batch_size": 8, **options})


def files(root):
    return {str(path.relative_to(root)): path.is_file() and path.read_bytes() for path in sorted(root.rglob("*"))}


class TinyBroken(TinyShapes):
    """A dataset whose preparation fails halfway."""

    def _split_generators(self, dl_manager):
        dl_manager.download_dir.joinpath("half.zip").write_bytes(b"half a download")
        return super()._split_generators(dl_manager)

    def _examples(self, start, stop):
        raise OSError("the server hung up")


class TinyManual(TinyShapes):
    """A dataset that must be downloaded manually."""

    MANUAL_DOWNLOAD_INSTRUCTIONS = "Register at example.org and\n    save tiny.zip."


@pytest.fixture
def online(monkeypatch):
    monkeypatch.setattr(download, "is_reachable", lambda urls: True)


@pytest.mark.parametrize(
    ("validation", "counts"), [(None, (36, 4)), (0, (40, None)), (8, (32, 8)), (0.25, (30, 10)), (39, (1, 39))]
)
def test_splits_are_tfds_slices_and_never_overlap(prepared, validation, counts):
    data = load(data_dir=prepared, validation=validation)
    everything = numbers(load(data_dir=prepared, validation=0).train.rebatch(64))
    train, validated = numbers(data.train), numbers(data.validation) if data.validation else []
    assert (len(train), len(validated) or None) == counts
    assert sorted(train + validated) == sorted(everything) == list(range(IMAGES))
    assert sorted(numbers(data.test)) == list(range(IMAGES, IMAGES + 10))
    if validated:
        builder = tfds.builder("tiny_shapes", data_dir=prepared)
        tail = builder.as_dataset(split=f"train[{counts[0]}:]", shuffle_files=False)
        assert validated == [int(example["image"][0, 0, 0]) for example in tail]


def test_sentences_with_a_class_become_texts_and_labels(tmp_path, monkeypatch):
    TinyLines(data_dir=tmp_path).download_and_prepare()
    data = load("tiny_lines", data_dir=tmp_path, validation=5)
    splits = [data.train.arrays(), data.validation.arrays()]
    pairs = [pair for x, y in splits for pair in zip(x.tolist(), y.tolist(), strict=True)]
    assert sorted(pairs) == sorted((f"line {i}".encode(), i % 2) for i in range(20))
    assert (data.input_shape, data.num_classes, data.class_names) == ((), 2, ("against", "for"))
    assert set(data.test.arrays()[1]) == {-1}
    monkeypatch.setattr(prepared_data, "_HIDDEN_TEST_LABELS", ("tiny_lines",))
    assert load("tiny_lines", data_dir=tmp_path, validation=5).test is None


@pytest.mark.parametrize("validation", [None, 0, 0.25, 6])
@pytest.mark.parametrize("is_streamed", [False, True])
def test_num_examples_reads_the_first_examples_of_each_split(prepared, monkeypatch, validation, is_streamed):
    if is_streamed:
        monkeypatch.setattr("deepkit.data.memory.available_bytes", lambda: 1000)

    whole_data = load(data_dir=prepared, validation=validation)
    short, expected = load(data_dir=prepared, validation=validation, num_examples=5), whole_data.head(5)
    for split in ("train", "validation", "test"):
        pipeline, whole = getattr(short, split), getattr(expected, split)
        assert (pipeline is None) == (whole is None)
        if pipeline is not None:
            assert pipeline.num_examples == min(5, whole.num_examples)
            assert all(np.array_equal(a, b) for a, b in zip(pipeline.arrays(), whole.arrays(), strict=True))
    everything = load(data_dir=prepared, validation=validation, num_examples=10**6)
    assert everything.train.fingerprint == whole_data.train.fingerprint


def test_num_examples_of_a_bundled_dataset():
    assert load("digits", num_examples=50).summary() == "digits: 50 train, 50 validation, 50 test"


def test_metadata_of_a_prepared_copy(prepared):
    data = load(data_dir=prepared)
    assert (data.name, data.version, data.source) == ("tiny_shapes", "1.0.0", "prepared")
    assert (data.input_shape, data.num_classes, data.class_names) == ((6, 6, 1), 4, ("0", "1", "2", "3"))
    folder = prepared / "tiny_shapes" / "1.0.0"
    assert data.describe() == f"tiny_shapes 1.0.0: 36 train, 4 validation, 10 test; prepared copy in {folder}"


def test_a_moved_data_folder_has_the_same_fingerprint(prepared, tmp_path):
    shutil.copytree(prepared, tmp_path / "copy")
    first, second = load(data_dir=prepared), load(data_dir=tmp_path / "copy")
    assert first.train.fingerprint == second.train.fingerprint
    assert first.summary() == second.summary()
    assert first.describe() != second.describe()


def test_load_prints_the_description_unless_verbose_is_false(prepared, capsys):
    data = dk_data.load("tiny_shapes", data_dir=prepared)
    assert capsys.readouterr().out == f"{data.describe()}\n"
    load(data_dir=prepared)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("name", ["tiny_shapes", "tiny_shapes:1.0.0"])
def test_data_dir_replaces_the_folder_of_the_environment(prepared, tmp_path, monkeypatch, offline, name):
    monkeypatch.setenv("TFDS_DATA_DIR", str(prepared))
    assert load(name).train.num_examples == 36
    with pytest.raises(DataError, match="no prepared copy in"):
        load(name, data_dir=tmp_path)


def test_a_prepared_copy_needs_neither_network_nor_code(prepared, monkeypatch):
    monkeypatch.setattr(download, "is_reachable", lambda urls: pytest.fail("probed the server"))
    monkeypatch.setattr(tfds, "list_builders", lambda **options: [])
    assert load(data_dir=prepared).train.num_examples == 36


# -- datasets that are not available


def test_the_error_without_network_names_the_folders_and_gives_a_hint(tmp_path, offline):
    with pytest.raises(DataError) as caught:
        load(data_dir=tmp_path)
    assert str(caught.value) == (
        f"tiny_shapes 1.0.0 is not available: no prepared copy in {tmp_path}/tiny_shapes/1.0.0, and the server does "
        "not answer\n  hint: set data_dir= or TFDS_DATA_DIR to a data folder, connect to the internet, or pass "
        "fallback='digits'"
    )
    assert files(tmp_path) == {}


def test_the_fallback_without_network_is_described_in_one_line(tmp_path, offline, capsys):
    data = dk_data.load("tiny_shapes", data_dir=tmp_path, fallback="digits", image_size=28, validation=5000)
    (line,) = capsys.readouterr().out.splitlines()
    assert line == data.describe()
    assert line.startswith("digits: 1,350 train, 150 validation, 297 test; bundled with scikit-learn")
    assert line.endswith(
        f"standing in for tiny_shapes (no prepared copy in {tmp_path}/tiny_shapes/1.0.0, and the server does not "
        "answer): results are not comparable with tiny_shapes"
    )
    assert (data.stand_in_for, data.source, data.input_shape) == ("tiny_shapes", "bundled", (28, 28, 1))


def test_the_fallback_does_not_replace_an_available_dataset(prepared):
    data = load(data_dir=prepared, fallback="digits")
    assert (data.name, data.stand_in_for) == ("tiny_shapes", None)
    assert load("digits", fallback="digits").stand_in_for is None


def test_a_manual_download_gives_its_instructions_as_a_hint(tmp_path, online):
    with pytest.raises(
        DataError, match=r"hint: download the files manually into .*manual: Register at example.org and save tiny.zip"
    ):
        load("tiny_manual", data_dir=tmp_path)


# -- downloads


def test_a_download_is_prepared_once_and_leaves_no_other_files(tmp_path, online, capsys):
    root = tmp_path / "new" / "folder"
    data = dk_data.load("tiny_shapes", data_dir=root)
    first, second = capsys.readouterr().out.splitlines()
    assert first == f"downloading tiny_shapes 1.0.0 to {root}/tiny_shapes/1.0.0"
    assert second.endswith(f"downloaded in {root}/tiny_shapes/1.0.0")
    assert data.source == "downloaded"
    assert [path.name for path in root.iterdir()] == ["tiny_shapes"]
    assert load(data_dir=root).source == "prepared"


@pytest.mark.parametrize("existing", [True, False])
def test_a_failed_download_leaves_no_files(tmp_path, online, existing):
    root = tmp_path / "data"
    if existing:
        (root / "downloads").mkdir(parents=True)
        (root / "downloads" / "mine.tmp.1").write_text("another process")
    before = files(tmp_path)
    with pytest.raises(DataError, match=r"downloading tiny_broken 1.0.0 to .* failed: .*the server hung up"):
        load("tiny_broken", data_dir=root)
    assert files(tmp_path) == before


def test_a_failed_download_uses_the_fallback(tmp_path, online):
    data = load("tiny_broken", data_dir=tmp_path, fallback="digits")
    assert data.stand_in_for == "tiny_broken"
    assert "the server hung up" in data.describe()


def test_the_error_names_a_folder_that_cannot_be_created(tmp_path, online):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(DataError, match=r"downloading tiny_shapes 1.0.0 to .*file/data failed"):
        load(data_dir=tmp_path / "file" / "data")
    with pytest.raises(DataError, match=r"file is a file\n  hint: pass the folder that contains the prepared datasets"):
        load(data_dir=tmp_path / "file")


# -- damage


def cut_shard(folder):
    shard = next(folder.glob("*train*"))
    shard.write_bytes(shard.read_bytes()[:-700])


def cut_shard_between_records(folder):
    shard = next(folder.glob("*train*"))
    length = int.from_bytes(shard.read_bytes()[:8], "little") + 16
    shard.write_bytes(shard.read_bytes()[length:])


def flip_a_bit(folder):
    shard = next(folder.glob("*test*"))
    content = bytearray(shard.read_bytes())
    content[60] ^= 1
    shard.write_bytes(content)


def overwrite(name, text="{ not json"):
    return lambda folder: (folder / name).write_text(text)


def remove(pattern):
    return lambda folder: next(folder.glob(pattern)).unlink()


@pytest.mark.parametrize(
    "damage",
    [
        cut_shard, cut_shard_between_records, flip_a_bit, remove("*train*"), remove("*test*"),
        remove("dataset_info.json"), remove("features.json"), overwrite("dataset_info.json"),
        overwrite("features.json"), overwrite("dataset_info.json", "{}"), overwrite("dataset_info.json", ""),
    ],
)  # fmt: skip
def test_the_error_names_a_damaged_folder_which_stays_unchanged(tmp_path, online, damage):
    TinyShapes(data_dir=tmp_path).download_and_prepare()
    folder = tmp_path / "tiny_shapes" / "1.0.0"
    damage(folder)
    before = files(tmp_path)
    with pytest.raises(
        DataError, match=r"the prepared data in .* is damaged or incomplete: .+Nothing was changed"
    ) as caught:
        load(data_dir=tmp_path, fallback="digits")
    assert str(folder) in str(caught.value)
    assert "data_dir= or TFDS_DATA_DIR" in str(caught.value)
    assert files(tmp_path) == before


@pytest.mark.parametrize("has_records", [True, False])
@pytest.mark.parametrize("damage", [cut_shard_between_records, flip_a_bit])
def test_damaged_files_on_the_disk_raise(tmp_path, little_memory, monkeypatch, damage, has_records):
    """Files that lack examples raise when the records are counted, other damage during the epoch."""
    monkeypatch.setattr("deepkit.data.tfds_reader.TFDSReader.has_records", has_records)
    TinyShapes(data_dir=tmp_path).download_and_prepare()
    damage(tmp_path / "tiny_shapes" / "1.0.0")
    with pytest.raises(DataError if has_records and damage is cut_shard_between_records else tf.errors.OpError):
        [epoch(split) for data in [load(data_dir=tmp_path)] for split in (data.train, data.validation, data.test)]


# -- images


def test_images_of_several_sizes_need_image_size(prepared):
    with pytest.raises(ValueError, match=r"images differ in size, for example 8x10 and 9x10\n  hint: pass image_size="):
        load("tiny_photos", data_dir=prepared)


@pytest.mark.parametrize("num_bytes", [2**40, 1000], ids=["memory", "disk"])
def test_each_image_is_resized(prepared, monkeypatch, num_bytes):
    monkeypatch.setattr("deepkit.data.memory.available_bytes", lambda: num_bytes)
    data = load("tiny_photos", data_dir=prepared, image_size=(4, 5), validation=0)
    assert data.input_shape == {"photo": (4, 5, 3), "name": ()}
    for batch in epoch(data.train):
        for photo, name in zip(batch["photo"], batch["name"], strict=True):
            np.testing.assert_allclose(photo * 255, int(name.split()[1]), atol=1e-4)


def test_images_of_the_right_size_stay_unchanged(prepared):
    unresized, resized = load(data_dir=prepared).test, load(data_dir=prepared, image_size=6).test
    np.testing.assert_array_equal(unresized.arrays()[0], resized.arrays()[0])


# -- names and arguments


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("mnits", "there is no dataset 'mnits'; did you mean 'mnist'"),
        ("digit", "did you mean 'digits'"),
        ("qqqqqqqq", "hint: use a name from tensorflow.org/datasets/catalog, or a bundled dataset: digits, iris"),
        ("glue/sst3", r"glue has no configuration 'sst3'\n  hint: use one of its 12 configurations, such as sst2"),
        ("mnist/big", r"mnist has no configurations, received 'big'\n  hint: load 'mnist'"),
        ("mnist:9.9.9", "mnist has no version 9.9.9"),
        ("no such name!", "name must have a form like 'mnist', 'glue/sst2' or 'mnist:3.0.1', received 'no such name!'"),
        ("", "name must have a form like .* received ''"),
    ],
)
def test_an_unknown_name_raises_without_network(name, text, tmp_path, monkeypatch):
    monkeypatch.setattr(download, "is_reachable", lambda urls: pytest.fail("probed the server"))
    with pytest.raises(ValueError, match=text):
        load(name, data_dir=tmp_path)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"batch_size": -1}, "batch_size must be a positive integer, received -1"),
        ({"validation": 1.2}, r"validation must be a fraction in \[0, 1\), received 1.2"),
        ({"validation": 40}, "validation=40 does not fit 40 training examples"),
        ({"image_size": 0}, r"image_size must be a positive number of pixels, or \(height, width\), received 0"),
        ({"image_size": (1, 2, 3)}, "image_size must be"),
        ({"num_examples": 0}, "num_examples must be a positive integer, received 0"),
        ({"seed": 1.5}, "seed must be an integer of at least 0, received 1.5"),
        ({"fallback": "mnist"}, "fallback must be one of 'digits', 'iris', 'wine', 'breast_cancer', received 'mnist'"),
    ],
)
def test_wrong_arguments_raise(prepared, arguments, text):
    with pytest.raises(ValueError, match=text):
        load(data_dir=prepared, **arguments)


def test_image_size_needs_images():
    with pytest.raises(ValueError, match=r"image_size=\(8, 8\) needs images, and iris is a table with 4 columns"):
        load("iris", image_size=8)


def test_the_name_must_be_a_string():
    with pytest.raises(TypeError, match="name must be a string such as 'mnist', received 3"):
        load(3)


# -- bundled


@pytest.mark.parametrize(
    ("name", "counts", "shape", "num_classes"),
    [
        ("digits", (1350, 150, 297), (8, 8, 1), 10),
        ("iris", (108, 12, 30), (4,), 3),
        ("wine", (129, 14, 35), (13,), 3),
        ("breast_cancer", (410, 46, 113), (30,), 2),
    ],
)
def test_bundled_datasets(name, counts, shape, num_classes):
    data = load(name)
    assert (data.train.num_examples, data.validation.num_examples, data.test.num_examples) == counts
    assert (data.input_shape, data.num_classes, len(data.class_names)) == (shape, num_classes, num_classes)
    assert data.source == "bundled"
    for split in (data.train, data.validation, data.test):
        assert len(np.unique(split.arrays()[1])) == num_classes


def test_digits_have_the_format_of_other_image_datasets():
    pixels = load("digits", map=lambda x: x).train.arrays()[0]
    assert (pixels.dtype, pixels.min(), pixels.max()) == (np.float32, 0, 255)
    assert load("digits").train.arrays()[0].max() == 1
    assert load("digits", image_size=28).input_shape == (28, 28, 1)


# -- real datasets


@pytest.mark.slow
def test_mnist_is_split_like_tfds_slices(tfds_dir):
    data = load("mnist", data_dir=tfds_dir, validation=5000)
    assert "mnist 3.0.1: 55,000 train, 5,000 validation, 10,000 test; prepared copy in" in data.describe()
    builder = tfds.builder("mnist", data_dir=tfds_dir)
    whole = builder.as_dataset(split="train", shuffle_files=False).map(lambda example: example["image"])
    images = np.concatenate([batch.numpy() for batch in whole.batch(5000)])
    training, validation = data.train.arrays()[0], data.validation.arrays()[0]
    np.testing.assert_array_equal(np.rint(np.concatenate([training, validation]) * 255).astype("uint8"), images)


def skip_unless_prepared(folder, name):
    if not os.path.isdir(os.path.join(folder, *name.split("/"))):
        pytest.skip(f"needs a prepared {name} in TFDS_DATA_DIR")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "num_test"), [("imdb_reviews", 25_000), ("glue/sst2", None)]
)  # GLUE hides its test labels
def test_text_datasets(tfds_dir, name, num_test):
    skip_unless_prepared(tfds_dir, name)
    data = load(name, data_dir=tfds_dir)
    assert (data.input_shape, data.num_classes) == ((), 2)
    assert num_test == (data.test and data.test.num_examples)
    text, label = next(iter(data.validation))
    assert (text.dtype, label.dtype.is_integer) == (tf.string, True)


@pytest.mark.slow
def test_images_stored_as_0_and_1_are_not_scaled(tfds_dir):
    skip_unless_prepared(tfds_dir, "binarized_mnist")
    images = load("binarized_mnist", data_dir=tfds_dir).test.arrays(20)[0]
    assert np.unique(images).tolist() == [0, 1]
