"""`Run.predict` of image files and folders: the files are decoded as the training images."""

import os
import pickle
import shutil
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import pytest
from keras import layers
from PIL import Image

import deepkit as dk
from deepkit.data import DataError
from deepkit.training import image_paths
from deepkit.training.predictions import readable_predictions

NAMES = ["a.png", "b.jpg", "more/c.png", "tall.jpg"]


def save(path, seed, size=(40, 30), **kwargs):
    """Save a smooth random image of (width, height)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).integers(0, 256, (3, 4, 3), "uint8")
    Image.fromarray(noise).resize(size, Image.Resampling.BICUBIC).save(path, **kwargs)


def train(folder, run_dir=None, net=None, **kwargs):
    data = dk.data.from_folder(folder, image_size=(8, 6), verbose=False, **kwargs)
    net = dk.Sequential([layers.Flatten(), dk.Classifier(2)]) if net is None else net
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("deepkit.training.run_report.write", lambda *parts: None)
        return dk.fit(net, data, run_dir=run_dir, verbose=0)


@pytest.fixture(scope="module")
def pets(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pets")
    for i in range(4):
        save(folder / ("cats" if i % 2 else "dogs") / f"{i}.png", i)
    return folder


@pytest.fixture(scope="module")
def new(tmp_path_factory):
    """Return a folder of images of several formats, one turned by EXIF, and a hidden file."""
    folder = tmp_path_factory.mktemp("new")
    for i, name in enumerate(NAMES[:3]):
        save(folder / name, 10 + i)
    exif = Image.Exif()
    exif[0x0112] = 6
    save(folder / NAMES[3], 13, exif=exif)
    (folder / ".DS_Store").write_bytes(b"hidden")
    return folder


@pytest.fixture(scope="module")
def run(pets, tmp_path_factory):
    return train(pets, tmp_path_factory.mktemp("run"), resize="pad", color_mode="grayscale")


def test_a_folder_is_decoded_as_the_training_images(run, new, tmp_path, capsys):
    shutil.copytree(new, tmp_path / "all" / "class")
    save(tmp_path / "all" / "other" / "z.png", 0)
    kwargs = {"image_size": (8, 6), "resize": "pad", "color_mode": "grayscale", "shuffle": False, "verbose": False}
    data = dk.data.from_folder(tmp_path / "all", **kwargs)
    paths = [str(new / name) for name in NAMES]
    order = [data.train.file_paths.index(str(tmp_path / "all" / "class" / name)) for name in NAMES]
    expected = run.predict(data.train.arrays()[0][order])
    predictions = run.predict(new)
    assert list(predictions.file_paths) == paths
    np.testing.assert_array_equal(predictions.labels, expected.labels)
    np.testing.assert_allclose(predictions.probabilities, expected.probabilities, rtol=1e-5)
    reverse = run.predict(paths[::-1], batch_size=3)
    np.testing.assert_allclose(reverse.probabilities, expected.probabilities[::-1], rtol=1e-5)
    assert capsys.readouterr().out == ""


def test_one_image(run, new):
    labels, probabilities = predictions = run.predict(new / "a.png")
    assert (labels.shape, probabilities.shape) == ((1,), (1, 2))
    assert repr(predictions).splitlines()[0] == "<ClassPrediction of 1 example>"
    assert repr(predictions).endswith(f" %  {new / 'a.png'}")
    copy = pickle.loads(pickle.dumps(predictions))
    assert (copy.file_paths, copy.labels) == (predictions.file_paths, labels)


def test_iterators_of_paths_and_of_batches(run, new):
    predictions = run.predict(new.glob("*.png"))
    assert predictions.file_paths == (str(new / "a.png"),)
    batches = [np.zeros((2, 8, 6, 1), "uint8"), np.ones((1, 8, 6, 1), "uint8")]
    assert len(run.predict(batch for batch in batches).labels) == 3
    with pytest.raises(DataError, match="x: received an empty list of images"):
        run.predict(new.glob("*.gif"))


def test_a_path_begins_at_the_working_or_the_home_directory(run, new, monkeypatch):
    monkeypatch.chdir(new)
    monkeypatch.setenv("HOME", str(new.parent))
    assert run.predict("more").file_paths == ("more/c.png",)
    assert run.predict(["a.png", f"~/{new.name}/b.jpg"]).file_paths == ("a.png", str(new / "b.jpg"))


def test_a_loaded_run_decodes_files(run, new):
    loaded = dk.load_run(run.run_dir)
    assert loaded.prediction.images == run.prediction.images
    np.testing.assert_allclose(loaded.predict(new).probabilities, run.predict(new).probabilities, rtol=1e-6)


def test_a_pipeline_of_a_folder_names_its_files(run, pets):
    kwargs = {"image_size": (8, 6), "resize": "pad", "color_mode": "grayscale", "validation": 0.5, "verbose": False}
    data = dk.data.from_folder(pets, **kwargs)
    predictions = run.predict(data.validation)
    assert predictions.file_paths == data.validation.file_paths
    labels = [Path(path).parent.name for path in data.train.file_paths]
    assert labels == [data.class_names[label] for label in data.train.labels_in_memory]
    assert data.train.head(1).file_paths == data.train.file_paths[:1]
    assert dk.data.from_arrays(np.zeros((2, 3))).train.file_paths == ()


def test_dark_images_have_the_scale_of_the_training_images(run, tmp_path):
    keras.utils.save_img(tmp_path / "dark.png", np.ones((9, 9, 3)), scale=False)
    assert len(run.predict(tmp_path).labels) == 1


def test_the_map_function_is_applied(pets, new, tmp_path):
    run = train(pets, tmp_path / "run", map=lambda x: x / 255)
    train_images = dk.data.from_folder(pets, image_size=(8, 6), verbose=False).train
    expected = run.predict(train_images.arrays()[0]).probabilities
    np.testing.assert_allclose(run.predict(train_images.file_paths).probabilities, expected, rtol=1e-5)
    with pytest.raises(ValueError, match=r"map function(.|\n)*hint: decode the files with keras.utils.load_img"):
        dk.load_run(tmp_path / "run").predict(new)


def test_outputs_that_are_not_classes_are_arrays():
    outputs = readable_predictions(np.zeros((2, 1)), [], {}, (), file_paths=("a.png", "b.png"))
    assert type(outputs) is np.ndarray


def test_other_files_of_a_folder_are_printed(run, new, tmp_path, capsys):
    folder = shutil.copytree(new, tmp_path / "new")
    (folder / "notes.txt").write_text("notes")
    assert len(run.predict(folder).labels) == 4
    assert "ignored 1 file without a JPEG, PNG, BMP or GIF image: notes.txt" in capsys.readouterr().out


def test_damaged_files_are_named(run, new, tmp_path):
    folder = shutil.copytree(new, tmp_path / "new")
    (folder / "bad.png").write_bytes(b"<html>")
    for x in (folder, [folder / "a.png", folder / "bad.png"]):
        with pytest.raises(DataError, match=r"1 of \d images cannot be read: .*bad.png \(it is an HTML page\)"):
            run.predict(x)
    content = bytearray((folder / "a.png").read_bytes())
    content[len(content) // 2] ^= 255
    (folder / "bad.png").write_bytes(content)
    with pytest.raises(DataError, match=r"1 of 5 images cannot be read: bad.png \("):
        run.predict(folder)


def test_images_of_pillow_are_refused(run):
    image = Image.new("RGB", (40, 30))
    for images in (image, [image]):
        with pytest.raises(
            TypeError, match=r"x: expected paths of images, received .*\n  hint: pass the path of the file"
        ):
            run.predict(images)


def test_paths_that_are_not_images_are_refused(run, new, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "notes.txt").write_text("notes")
    texts = {
        "absent": "x: there is no file or folder 'absent'\n  hint: pass the path of an image or of a folder",
        "": "x: there is no file or folder ''",
        "empty": "x: no JPEG, PNG, BMP or GIF image in the folder 'empty', which has no files",
        "texts": "in the folder 'texts', which has other files: notes.txt\n  hint: pass the path of a folder of images",
        "texts/notes.txt": "1 of 1 images cannot be read: texts/notes.txt (it is not a JPEG, PNG, BMP or GIF image)",
    }
    cases = [*texts.items(), (list(texts), "5 of 5 images cannot be read: absent (there is no such file), ")]
    cases += [([], "x: received an empty list of images\n  hint: check the folder and the pattern of glob")]
    cases += [(["empty"], "empty (it is a folder)"), (["absent.png"], "absent.png (No such file or directory)")]
    for x, text in cases:
        with pytest.raises(DataError) as caught:
            run.predict(x)
        assert text in str(caught.value)


def test_evaluation_needs_labeled_images(run, new):
    for arguments in [(new,), ([str(new / "a.png")], ["cats"]), (([new / "a.png"], ["cats"]),)]:
        with pytest.raises(ValueError, match=r"x: expected images with labels, received") as caught:
            run.evaluate(*arguments)
        assert 'from_folder(path, image_size=(8, 6), resize="pad", color_mode="grayscale").train' in str(caught.value)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_run_on_arrays_of_images_names_load_img(new, channels):
    x, y = np.zeros((8, 8, 6, channels), "uint8"), np.arange(8) % 2
    run = dk.fit(dk.Sequential([layers.Flatten(), dk.Classifier(2)]), x, y, verbose=0)
    paths = [new / "a.png", new / "b.jpg"]
    mode = ', color_mode="grayscale"' if channels == 1 else ""
    for received in (paths, str(new), [os.fspath(path) for path in paths], []):
        with pytest.raises(ValueError) as caught:  # noqa: PT011  the text is checked below
            run.predict(received)
        if len(received):
            assert "received" in str(caught.value)
            assert f"[keras.utils.load_img(path, target_size=(8, 6){mode}) for path in paths]" in str(caught.value)
    kwargs = {"color_mode": "grayscale"} if channels == 1 else {}
    images = np.stack([keras.utils.load_img(path, target_size=(8, 6), **kwargs) for path in paths])
    assert len(run.predict(images).labels) == 2


def test_paths_in_lists_tuples_arrays_and_series(run, new):
    paths = [str(new / name) for name in NAMES]
    for x in (str(new), paths, tuple(map(Path, paths)), np.array(paths), np.array(paths, object), pd.Series(paths)):
        source = image_paths.paths_as_images(run.prediction.images, x)
        assert [file.path for file in source.decoder.files] == paths
    for x in (np.zeros(3), [1, 2], [["a.png"]], {"x": "a.png"}, None):
        assert image_paths.paths_as_images(run.prediction.images, x) is None


def test_large_lists_are_decoded_in_batches(run, new):
    source = image_paths.paths_as_images(run.prediction.images, [new / "a.png"] * 100)
    assert (source.images, source.num_examples) == (None, 100)
