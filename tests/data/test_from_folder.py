"""`from_folder`: layouts, formats, resizing, splits, damaged files, and exact resume."""

import functools
import os
import shutil

import keras
import numpy as np
import pytest
from PIL import Image

import deepkit as dk
from deepkit import data as dk_data
from deepkit.data import DataError
from deepkit.training import checkpoint
from tests.data.tiny import epoch

load = functools.partial(dk_data.from_folder, image_size=8, verbose=False)
SQUARES = "circles", "squares"


def pixels(seed=0, height=8, width=8, channels=3):
    """Return a smooth random image, which JPEG changes little."""
    noise = np.random.default_rng(seed).integers(0, 256, (3, 4, channels), "uint8")
    return np.asarray(Image.fromarray(noise.squeeze()).resize((width, height), Image.Resampling.BICUBIC))


def save(path, array=None, mode=None, **kwargs):
    path.parent.mkdir(parents=True, exist_ok=True)
    array = pixels() if array is None else array
    image = array if isinstance(array, Image.Image) else Image.fromarray(array)
    (image.convert(mode) if mode else image).save(path, **kwargs)


def numbered(root, classes=SQUARES, count=10, first=0):
    """Write images of one color, which is their number."""
    for position, name in enumerate(classes):
        for i in range(first, first + count):
            save(root / name / f"{i}.png", np.full((8, 8, 3), 100 * position + i, "uint8"))
    return root


def numbers(pipeline):
    return [int(image[0, 0, 0]) for batch in epoch(pipeline) for image in batch[0]]


def only_image(tmp_path, **kwargs):
    """Return the image of the class "a" without the batch axis."""
    x, y = load(tmp_path, shuffle=False, **kwargs).train.arrays()
    return x[list(y).index(0)]


@pytest.fixture
def shapes(tmp_path):
    return numbered(tmp_path / "shapes")


def test_one_folder_per_class(shapes):
    data = load(shapes, batch_size=4)
    assert (data.class_names, data.num_classes, data.input_shape) == (SQUARES, 2, (8, 8, 3))
    assert data.describe() == f"shapes: 20 train; images in {shapes}; 2 classes: circles, squares"
    assert data.source == "folder"
    x, y = data.train.arrays()
    assert x.dtype == np.uint8
    assert all(label == (image[0, 0, 0] >= 100) for image, label in zip(x, y, strict=True))
    assert sorted(numbers(data.train)) == [*range(10), *range(100, 110)]
    assert len(set(y[:6])) == 2  # the order mixes the classes


@pytest.mark.parametrize("name", ["validation", "Val"])
def test_one_folder_per_split(tmp_path, name):
    numbered(tmp_path / "train")
    numbered(tmp_path / name, count=2, first=20)
    numbered(tmp_path / "test", count=3, first=30)
    data = load(tmp_path)
    assert data.summary() == f"{tmp_path.name}: 20 train, 4 validation, 6 test"
    assert sorted(numbers(data.test)) == [30, 31, 32, 130, 131, 132]
    assert (data.validation.is_shuffled, data.class_names) == (False, SQUARES)


def test_a_split_without_a_folder_is_taken_from_the_training_images(tmp_path):
    numbered(tmp_path / "train")
    numbered(tmp_path / "test", count=3, first=30)
    data = load(tmp_path, validation=0.2)
    assert data.summary() == f"{tmp_path.name}: 16 train, 4 validation, 6 test"
    assert min(value % 100 for value in numbers(data.test)) == 30
    with pytest.raises(ValueError, match=r"test=0.1: .* has a folder for the test split\n  hint: leave test= out"):
        load(tmp_path, test=0.1)


def test_a_class_may_be_called_train_and_have_folders(tmp_path):
    numbered(tmp_path, ("car", "train"), count=2)
    save(tmp_path / "car" / "red" / "1.png")
    data = load(tmp_path)
    assert (data.class_names, data.train.num_examples) == (("car", "train"), 5)


def test_hidden_files_are_skipped_and_other_files_named(shapes, capsys):
    for name in (".DS_Store", "circles/Thumbs.db", "circles/.ipynb_checkpoints/0.png", "__MACOSX/circles/0.png"):
        (shapes / name).parent.mkdir(exist_ok=True, parents=True)
        shutil.copy(shapes / "circles" / "0.png", shapes / name)
    (shapes / "circles" / "BM.txt").write_text("BM is not an image")
    (shapes / "squares" / "notes.md").write_text("notes")
    save(shapes / "stray.png")
    load(shapes, verbose=True)
    assert capsys.readouterr().out.splitlines() == [
        f"{shapes}: ignored 2 files without a JPEG, PNG, BMP or GIF image: circles/BM.txt, squares/notes.md",
        f"{shapes}: ignored 1 file or link outside the class folders: stray.png",
        f"shapes: 20 train; images in {shapes}; 2 classes: circles, squares",
    ]


def test_a_link_is_followed_once(shapes):
    (shapes / "circles" / "loop").symlink_to(shapes, target_is_directory=True)
    (shapes / "squares" / "10.png").symlink_to(shapes / "squares" / "9.png")
    assert load(shapes).train.num_examples == 21
    (shapes / "triangles").symlink_to(shapes / "squares", target_is_directory=True)
    with pytest.raises(DataError, match="'squares' and 'triangles' are the same folder\n  hint: remove one"):
        load(shapes)


def test_names_may_have_any_bytes(tmp_path, capsys):
    name = os.fsdecode(b"\xffcat")
    save(tmp_path / name / f"{name}.png")
    (tmp_path / name / f"{name}.txt").touch()
    assert load(tmp_path, verbose=True).class_names == ("\\xffcat",)
    assert "\\xffcat/\\xffcat.txt" in capsys.readouterr().out


# Formats and colors


def test_two_names_with_the_same_readable_text_are_refused(tmp_path):
    for name in (b"\xff", rb"\xff", b"other"):
        save(tmp_path / "shapes" / os.fsdecode(name) / "1.png")
    with pytest.raises(
        DataError, match=r"two class folders have the name '.*xff', one of them in bytes\n  hint: rename"
    ):
        load(tmp_path / "shapes")


def test_links_to_themselves_are_not_folders(shapes):
    (shapes / "loop").symlink_to("loop")
    assert load(shapes).train.num_examples == 20
    (shapes / "squares" / "loop.png").symlink_to("loop.png")
    with pytest.raises(DataError, match=r"1 of 21 images cannot be read: squares/loop.png \(Too many levels"):
        load(shapes)


def test_the_content_decides_the_format(tmp_path):
    image = pixels()
    save(tmp_path / "a" / "1.jpg", image, format="PNG")
    save(tmp_path / "b" / "1", image, format="PNG")
    np.testing.assert_array_equal(load(tmp_path).train.arrays()[0], [image, image])


@pytest.mark.parametrize("color_mode", ["rgb", "grayscale", "rgba"])
def test_every_format_has_the_pixels_of_pillow(tmp_path, color_mode):
    mode = {"rgb": "RGB", "grayscale": "L", "rgba": "RGBA"}[color_mode]
    expected = {}
    for suffix in ("bmp", "gif", "jpg", "png"):
        path = tmp_path / suffix / f"1.{suffix}"
        save(path, pixels())
        with Image.open(path) as image:
            expected[suffix] = np.asarray(image.convert("RGB").convert(mode)).reshape(8, 8, -1)
    data = load(tmp_path, color_mode=color_mode)
    for image, label in zip(*data.train.arrays(), strict=True):
        suffix = data.class_names[label]
        tolerance = int(suffix == "jpg" and color_mode == "grayscale")  # the luminance in the file, not that of RGB
        assert abs(image.astype(int) - expected[suffix]).max() <= tolerance, suffix


@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_the_orientation_of_exif_is_applied(tmp_path, suffix):
    upright = pixels()
    turned = [
        upright,
        upright[:, ::-1],
        upright[::-1, ::-1],
        upright[::-1],
        upright.transpose(1, 0, 2),
        np.rot90(upright),
        np.rot90(upright.transpose(1, 0, 2), 2),
        np.rot90(upright, -1),
    ]
    quality = {"quality": 100, "subsampling": 0} if suffix == "jpg" else {}
    for orientation, image in enumerate(turned, start=1):
        exif = Image.Exif()
        exif[0x0112] = orientation
        save(tmp_path / "a" / f"{orientation}.{suffix}", np.ascontiguousarray(image), exif=exif, **quality)
    x, _ = load(tmp_path).train.arrays()
    assert abs(x.astype(int) - upright).max() <= (8 if suffix == "jpg" else 0)


def test_gray_palette_and_16_bit_images_become_rgb(tmp_path):
    gray = pixels(channels=1)
    save(tmp_path / "a" / "gray.png", gray)
    save(tmp_path / "a" / "gray.jpg", gray, quality=100)
    save(tmp_path / "a" / "16.png", gray.astype("uint16") * 257)
    save(tmp_path / "a" / "palette.png", gray, mode="P")
    save(tmp_path / "a" / "black.png", gray, mode="1")
    x = load(tmp_path).train.arrays()[0].astype(int)
    assert x.shape == (5, 8, 8, 3)
    assert (x == x[..., :1]).all()
    assert sum(abs(image[..., 0] - gray).max() <= 4 for image in x) == 4


def test_cmyk_is_converted(tmp_path):
    save(tmp_path / "a" / "1.jpg", np.full((8, 8, 3), (250, 10, 10), "uint8"), mode="CMYK", quality=100)
    red, green, blue = only_image(tmp_path)[4, 4]
    assert red > 200
    assert max(green, blue) < 60


def test_transparent_pixels_become_white_or_stay_transparent(tmp_path):
    image = np.zeros((8, 8, 4), "uint8")
    image[:4, :, 3] = 255
    save(tmp_path / "a" / "1.png", image)
    assert (only_image(tmp_path)[:, 0, 0] == [0] * 4 + [255] * 4).all()
    assert (only_image(tmp_path, color_mode="grayscale")[:, 0, 0] == [0] * 4 + [255] * 4).all()
    np.testing.assert_array_equal(only_image(tmp_path, color_mode="rgba"), image)


def test_the_first_image_of_an_animation_is_used(tmp_path):
    frames = [Image.fromarray(np.full((8, 8), value, "uint8")) for value in (50, 100, 150)]
    (tmp_path / "a").mkdir()
    frames[0].save(tmp_path / "a" / "1.gif", save_all=True, append_images=frames[1:])
    assert (only_image(tmp_path) == 50).all()


# Sizes


def test_crop_takes_the_largest_centered_region(tmp_path):
    image = np.zeros((8, 16, 3), "uint8")
    image[:, 4:12] = pixels()
    save(tmp_path / "a" / "1.png", image)
    np.testing.assert_array_equal(only_image(tmp_path), pixels())


def test_pad_adds_black_borders(tmp_path):
    save(tmp_path / "a" / "1.png", np.full((8, 16, 3), 200, "uint8"))
    rows = only_image(tmp_path, resize="pad")[:, :, 0]
    np.testing.assert_array_equal(rows, np.repeat([0, 200, 0], [2, 4, 2])[:, None].repeat(8, 1))


def test_stretch_ignores_the_aspect_ratio(tmp_path):
    image = pixels(height=8, width=16)
    save(tmp_path / "a" / "1.png", image)
    expected = np.rint(image.reshape(8, 8, 2, 3).mean(2))
    difference = only_image(tmp_path, resize="stretch") - expected
    assert abs(difference).max() <= 1  # a half is rounded to an even number
    assert load(tmp_path, image_size=(4, 6), resize="stretch").input_shape == (4, 6, 3)


@pytest.mark.parametrize("resize", ["crop", "pad", "stretch"])
def test_every_size_of_image_fits(tmp_path, resize):
    for height, width in [(1, 1), (1, 40), (40, 1), (7, 9), (8, 12), (3, 100), (9, 9), (90, 130), (8, 30)]:
        save(tmp_path / "a" / f"{height}x{width}.jpg", np.full((height, width, 3), 9, "uint8"))
        save(tmp_path / "a" / f"{height}x{width}.png", np.full((height, width, 3), 9, "uint8"))
    x, _ = load(tmp_path, image_size=(8, 12), resize=resize).train.arrays()
    assert x.shape == (18, 8, 12, 3)
    assert (x.max((1, 2, 3)) == 9).all()
    assert resize == "pad" or x.min() == 9


def test_large_jpegs_are_reduced_while_they_are_decoded(tmp_path):
    large = pixels(height=200, width=200)
    save(tmp_path / "a" / "1.jpg", large, quality=95)
    exif = Image.Exif()
    exif[0x0112] = 3
    save(tmp_path / "b" / "1.jpg", np.ascontiguousarray(large[::-1, ::-1]), quality=95, exif=exif)  # for Pillow
    expected = np.asarray(Image.fromarray(large).resize((8, 8), Image.Resampling.BOX)).astype(int)
    for image in load(tmp_path).train.arrays()[0]:
        assert abs(image - expected).max() <= 3


# Splits


def test_the_split_is_stratified_and_complete(tmp_path):
    numbered(tmp_path, ("circles",), count=40)
    numbered(tmp_path, ("", "squares"), count=10)
    data = load(tmp_path, validation=0.2, test=0.1)
    splits = [data.train.arrays(), data.validation.arrays(), data.test.arrays()]
    assert [np.bincount(y).tolist() for _, y in splits] == [[28, 7], [8, 2], [4, 1]]
    assert sorted(int(image[0, 0, 0]) for x, _ in splits for image in x) == [*range(40), *range(100, 110)]


def test_a_count_is_distributed_in_proportion_to_the_classes(tmp_path):
    numbered(tmp_path, ("circles",), count=20)
    numbered(tmp_path, ("", "squares"), count=10)
    data = load(tmp_path, validation=7)
    assert np.bincount(data.validation.arrays()[1]).tolist() == [5, 2]


def test_the_split_depends_on_names_and_seed_only(shapes, tmp_path):
    data = load(shapes, validation=0.3, test=0.3)
    other = tmp_path / "elsewhere" / "copy"
    for path in sorted(shapes.rglob("*.png"), reverse=True):  # created in another order
        (other / path.relative_to(shapes)).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, other / path.relative_to(shapes))
    copy = load(other, validation=0.3, test=0.3, name="shapes")
    for split in ("train", "validation", "test"):
        assert getattr(data, split).fingerprint == getattr(copy, split).fingerprint
    assert numbers(load(shapes, test=0.3, seed=1).test) != numbers(data.test)
    assert numbers(load(shapes, validation=0.1, test=0.3).test) == numbers(data.test)


def test_the_first_images_of_a_split_have_all_classes(tmp_path):
    for name in "abcde":
        for i in range(60):
            save(tmp_path / name / f"{i}.png", np.zeros((2, 2), "uint8"))
    train = load(tmp_path, image_size=2, test=0.4, seed=1).train
    counts = np.bincount(train.head(30).arrays()[1], minlength=5)  # 6 each are expected
    assert counts.min() >= 3


def test_images_of_another_class_do_not_change_the_split(shapes):
    before = numbers(load(shapes, validation=0.3).validation)
    numbered(shapes, ("circles",), count=5, first=20)
    after = numbers(load(shapes, validation=0.3).validation)
    assert [value for value in after if value >= 100] == [value for value in before if value >= 100]


@pytest.mark.parametrize(
    ("arguments", "problem", "hint"),
    [
        ({"validation": 1.5}, r"validation must be a fraction in \[0, 1\), received 1.5", "pass an integer"),
        ({"test": -1}, "test must be an integer of at least 0, received -1", ""),
        ({"validation": 20}, "validation=20 does not fit 20 examples", "pass a smaller number"),
        ({"validation": 0.01}, "validation=0.01 is less than one example of every class; the largest has 10", "larger"),
        ({"validation": 0.5, "test": 0.5}, "leave no training example of the class 'circles', which has 10", "smaller"),
        ({"resize": "croped"}, "resize must be one of .*received 'croped'; did you mean 'crop'", ""),
        ({"color_mode": "rgbb"}, "color_mode must be one of", ""),
        ({"image_size": (8, 0)}, r"image_size must be a positive number of pixels, .* received \(8, 0\)", ""),
    ],
)
def test_wrong_arguments_are_named(shapes, arguments, problem, hint):
    with pytest.raises(ValueError, match=f"{problem}(.|\n)*{hint}"):
        load(shapes, **arguments)


def test_wrong_types_are_named(shapes):
    with pytest.raises(TypeError, match="validation must be a number of examples or a fraction"):
        load(shapes, validation="10%")
    with pytest.raises(TypeError, match=r"path must be a string or a pathlib\.Path, received 3"):
        load(3)


# Wrong folders


def test_damaged_images_are_named_with_their_reasons(shapes):
    content = (shapes / "circles" / "0.png").read_bytes()
    save(shapes / "circles" / "photo.jpg", pixels(height=64, width=64))
    photo = (shapes / "circles" / "photo.jpg").read_bytes()
    (shapes / "circles" / "photo.jpg").write_bytes(photo[:-300])
    (shapes / "circles" / "half.png").write_bytes(content[: len(content) // 2])
    (shapes / "circles" / "empty.png").write_bytes(b"")
    (shapes / "squares" / "page.jpg").write_text("<!DOCTYPE html><title>404</title>")
    (shapes / "squares" / "photo.jpg").write_bytes(b"RIFF\0\0\0\0WEBPVP8 ")
    (shapes / "squares" / "link.jpg").symlink_to(shapes / "missing.jpg")
    with pytest.raises(DataError) as error:
        load(shapes)
    assert "6 of 26 images cannot be read: circles/empty.png (the file is empty)" in error.value.problem
    assert "circles/photo.jpg (image file is truncated" in error.value.problem
    assert "circles/half.png" in error.value.problem
    assert "squares/page.jpg (it is an HTML page)" in error.value.problem
    assert "squares/photo.jpg (it is a WebP image)" in error.value.problem
    assert "squares/link.jpg (No such file or directory)" in error.value.problem
    assert error.value.hint == "replace or remove these files"


def test_damage_inside_of_an_image_is_named_before_the_training(shapes):
    path = shapes / "squares" / "noise.png"
    save(path, np.random.default_rng(0).integers(0, 256, (32, 32, 3), "uint8"))
    content = bytearray(path.read_bytes())
    content[200:260] = bytes(60)
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"1 of 21 images cannot be read: squares/noise.png \(.+\)"):
        load(shapes)


def test_an_empty_class_is_named(shapes):
    (shapes / "stars").mkdir()
    (shapes / "stars" / "1.webp").write_bytes(b"RIFF\0\0\0\0WEBP")
    (shapes / "triangles").mkdir()
    expected = r"no JPEG, PNG, BMP or GIF image in 'stars' \(other files, such as 1.webp\), 'triangles' \(no files\)"
    with pytest.raises(DataError, match=expected):
        load(shapes)


def test_classes_that_differ_between_the_splits_are_named(tmp_path):
    numbered(tmp_path / "train", ("circles", "squares"), count=1)
    numbered(tmp_path / "test", ("circles", "stars"), count=1)
    expected = "the classes of the test split lack squares and have stars, which the train split lacks"
    with pytest.raises(DataError, match=expected):
        load(tmp_path)


@pytest.mark.parametrize(
    ("files", "problem", "hint"),
    [
        ([], "has no files, expected one folder per class", "put the images of each class into a folder, such as"),
        (["1.png", "2.png"], "has 2 files and no folders", "cats/1.jpg"),
        (["train/a/1.png", "test/1.png"], "test has 1 file and no folders", "train/cats/1.jpg"),
        (["test/a/1.png", "val/a/1.png"], r"folders of splits \(test, val\), and none of them is 'train'", "add a"),
        (["train/a/1.png", "a/1.png"], r"folders of splits \(train\) and other folders \(a\)", "move the other"),
        (["train/a/1.png", "val/a/1.png", "validation/a/1.png"], "'val' and 'validation' are both for", "remove"),
        (["pets/train/a/1.png"], "a single class folder, 'pets', with folders inside: train", "pass the folder '"),
    ],
)
def test_other_layouts_are_named(tmp_path, files, problem, hint):
    for file in files:
        save(tmp_path / file)
    with pytest.raises(DataError, match=f"{problem}(.|\n)*hint: .*{hint}"):
        load(tmp_path)


def test_paths_that_are_not_folders_are_named(shapes, tmp_path):
    with pytest.raises(
        DataError, match=r"there is no folder '.*/shape'; did you mean 'shapes'\?\n  hint: pass the path"
    ):
        load(tmp_path / "shape")
    with pytest.raises(DataError, match=r"no folder 'cifar-10'\n  hint: .*use dk.data.load\('cifar10'\) for the"):
        load("cifar-10")
    with pytest.raises(DataError, match=r"0.png' is a file, expected a folder"):
        load(shapes / "circles" / "0.png")
    for path in ("x" * 5000, "~no-such-user/pets", "pets\0"):
        with pytest.raises(DataError, match="there is no folder '"):
            load(path)
    (tmp_path / "pets.zip").write_bytes(b"PK")
    with pytest.raises(DataError, match="hint: unpack the archive"):
        load(tmp_path / "pets.zip")


@pytest.mark.parametrize("name", ["some/path", "./pets", "/data/pets", "data/pets/train", "~/pets"])
def test_load_of_a_path_names_from_folder(name):
    with pytest.raises(ValueError, match=f"(?s)hint: .*dk.data.from_folder\\('{name}', image_size=224\\)"):
        dk_data.load(name)


def test_load_of_a_path_object_names_from_folder(tmp_path):
    with pytest.raises(TypeError, match=r"name must be a string such as 'mnist'(.|\n)*dk.data.from_folder"):
        dk_data.load(tmp_path)


# Pipelines


def test_streamed_images_are_those_of_the_memory_in_the_same_order(tmp_path, monkeypatch, capsys):
    for i in range(6):
        save(tmp_path / "a" / f"{i}.{['jpg', 'png', 'bmp'][i % 3]}", pixels(i, height=20 + i, width=30))
        save(tmp_path / "b" / f"{i}.jpg", pixels(i, height=90, width=100))
    make = functools.partial(load, tmp_path, validation=0.2, batch_size=4, augment=[dk_data.Shift(1)])
    cached = make()
    monkeypatch.setattr("deepkit.data.memory.available_bytes", lambda: 1000)
    streamed = make(verbose=True)
    note = "the images are decoded again in each epoch: they need 2.2 KiB of memory, and 1000.0 bytes are free; "
    note += "dk.data.write_records stores decoded images"
    assert capsys.readouterr().out.splitlines() == [cached.describe(), note]
    assert streamed.describe() == cached.describe()
    for pipeline, other in ((cached.train, streamed.train), (cached.validation, streamed.validation)):
        assert pipeline.fingerprint == other.fingerprint
        for batch, other_batch in zip(epoch(pipeline), epoch(other), strict=True):
            np.testing.assert_array_equal(batch[0], other_batch[0])
            np.testing.assert_array_equal(batch[1], other_batch[1])
    short = streamed.train.head(3)
    replaced = short.with_labels(1 - short.labels_in_memory)
    np.testing.assert_array_equal(cached.train.head(3).arrays()[0], replaced.arrays()[0])
    np.testing.assert_array_equal(cached.train.arrays(3)[1], 1 - replaced.arrays()[1])
    assert replaced.fingerprint != short.fingerprint


def test_the_fingerprint_depends_on_contents_and_settings(shapes):
    make = functools.partial(load, shapes)
    fingerprint = make().train.fingerprint
    assert make(resize="pad").train.fingerprint != fingerprint
    path = shapes / "circles" / "0.png"
    status = os.stat(path)
    save(path, np.full((8, 8, 3), 77, "uint8"))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert make().train.fingerprint != fingerprint


def train(data, epochs=1, **kwargs):
    net = dk.Sequential([keras.layers.Conv2D(2, 3), dk.MLP([2], dropout=0.5), dk.Classifier(2)])
    return dk.fit(net, data, epochs=epochs, plan=dk.plan(deterministic=True), verbose=0, **kwargs)


def test_the_model_rescales_streamed_images(shapes, monkeypatch):
    save(shapes / "squares" / "palette.gif")  # for Pillow
    monkeypatch.setattr("deepkit.data.memory.available_bytes", lambda: 1000)
    model = train(load(shapes)).model
    assert [layer.name for layer in model.layers[:2]][1] == "input_rescaling"
    images = np.stack([pixels(1), pixels(2)])
    assert model.predict(images, verbose=0).shape == (2, 2)


@pytest.mark.slow
@pytest.mark.parametrize("is_streamed", [True, False])
def test_a_run_resumes_exactly(shapes, tmp_path, monkeypatch, is_streamed):
    save(shapes / "squares" / "palette.gif")  # for Pillow
    make = functools.partial(load, shapes, validation=0.2, batch_size=8, augment=[dk_data.Flip()])
    whole = train(make(), 2, run_dir=tmp_path / "whole")
    if is_streamed:  # the rest of the memory is in use
        monkeypatch.setattr("deepkit.data.memory.available_bytes", lambda: 1000)
    train(make(), 1, run_dir=tmp_path / "parts")
    monkeypatch.undo()
    resumed = train(make(), 2, run_dir=tmp_path / "parts")
    assert resumed.resume == "exact"
    for weights, expected in zip(resumed.model.get_weights(), whole.model.get_weights(), strict=True):
        np.testing.assert_array_equal(weights, expected)
    assert checkpoint.load(tmp_path / "parts").history == checkpoint.load(tmp_path / "whole").history


@pytest.mark.slow
def test_a_changed_image_prevents_a_resume(shapes, tmp_path):
    train(load(shapes), 1, run_dir=tmp_path / "run")
    save(shapes / "circles" / "0.png", np.full((8, 8, 3), 77, "uint8"))
    with pytest.raises(dk.errors.RunDirError, match="data"):
        train(load(shapes), 2, run_dir=tmp_path / "run")


def test_a_vae_asks_for_scaled_images(shapes):
    net = dk.VAE(dk.MLP([4]), latent_dim=2, decoder=dk.MLP([4]))
    with pytest.raises(ValueError, match=r"does not rescale images(.|\n)*map=lambda x: x / 255"):
        dk.fit(net, load(shapes), epochs=1, verbose=0)


@pytest.mark.slow
def test_a_folder_of_cifar10_trains_as_the_dataset(tfds_dir, tmp_path):
    cifar = dk_data.load("cifar10", verbose=False).head(2500)
    for split in ("train", "test"):
        x, y = getattr(cifar, split).arrays(2500 if split == "train" else 500)
        for i, (image, label) in enumerate(zip(np.rint(x * 255).astype("uint8"), y, strict=True)):
            save(tmp_path / "cifar" / split / cifar.class_names[label] / f"{i}.png", image)
    data = dk_data.from_folder(tmp_path / "cifar", image_size=32, validation=0.1, batch_size=64, verbose=False)
    assert data.class_names == tuple(sorted(cifar.class_names))
    conv = functools.partial(keras.layers.Conv2D, kernel_size=3, activation="relu")
    pool = keras.layers.MaxPooling2D()
    net = dk.Sequential([conv(16), pool, conv(32), pool, dk.MLP([64]), dk.Classifier(10)])
    run = dk.fit(net, data, epochs=8, verbose=0)
    x, y = data.test.arrays()
    assert np.mean(run.model.predict(x, verbose=0).argmax(-1) == y) > 0.3
