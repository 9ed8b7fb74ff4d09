"""Checkpoints: every file that is not a complete checkpoint of this model raises a CheckpointError with a hint."""

import errno
import io
import json
import os
import pickle
import zipfile

import keras
import numpy as np
import pytest

from deepkit.errors import CheckpointError
from deepkit.training import checkpoint, state
from deepkit.training.state import TrainingState

KERNEL = np.arange(6, dtype="float32").reshape(2, 3)


def example(epoch=2, kernel=KERNEL):
    variables = {"model": [("dense/kernel", kernel)], "optimizer": [("iteration", np.array(7))], "metrics": []}
    callbacks = [{"best": np.float32(0.5), "best_weights": [np.ones(2)], "wait": 3}, {}]
    return TrainingState(epoch, variables, {"loss": [0.5] * epoch}, [1.0] * epoch, callbacks, run_id="a run")


@pytest.fixture
def path(tmp_path):
    checkpoint.save(tmp_path, example())
    return tmp_path / checkpoint.NAME


def rewrite(path, change_state=lambda content: None, change_members=lambda members: None, **kwargs):
    """Write a checkpoint again, with another `state.json` or other members, and valid checksums."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    content = json.loads(members["state.json"])
    content = change_state(content) or content
    members["state.json"] = json.dumps(content).encode()
    change_members(members)
    with zipfile.ZipFile(path, "w", **kwargs) as archive:
        for name, value in members.items():
            archive.writestr(name, value)


def error(path):
    with pytest.raises(CheckpointError) as caught:
        checkpoint.load(path.parent)
    assert str(path) in caught.value.problem
    assert caught.value.hint
    return caught.value


def test_a_state_is_restored(path):
    stored = checkpoint.load(path.parent)
    np.testing.assert_array_equal(stored.variables["model"][0][1], KERNEL)
    assert stored.variables["model"][0][1].dtype == "float32"
    assert (stored.epoch, stored.history, stored.run_id) == (2, {"loss": [0.5, 0.5]}, "a run")
    assert (stored.callbacks[0]["wait"], stored.callbacks[0]["best"]) == (3, 0.5)
    summary = checkpoint.load_summary(path.parent)
    assert (summary.name, summary.epoch, summary.run_id) == ("checkpoint.zip", 2, "a run")


def npz(**arrays):
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


@pytest.mark.parametrize("size", [0, 1, 21, 22, 100, 0.3, 0.9, 0.99, -1])
def test_a_truncated_file(path, size):
    content = path.read_bytes()
    path.write_bytes(content[: int(size * len(content)) if isinstance(size, float) else size])
    assert "is not a complete checkpoint" in error(path).problem


@pytest.mark.parametrize(
    "content",
    [
        b"\0" * 5000,
        pickle.dumps({"epoch": 2}),
        npz(kernel=KERNEL),
        npz(kernel=np.array([{}], dtype=object)),
        b"PK\x05\x06" + b"\0" * 18,
        b"PK\x05\x06" + b"\xff" * 18,
    ],
    ids=["zeros", "pickle", "npz", "npz with a pickle", "empty archive", "endless archive"],
)
def test_a_file_of_another_kind(path, content):
    path.write_bytes(content)
    assert "is not a complete checkpoint" in error(path).problem


def test_every_flipped_byte_is_detected_or_harmless(path):
    content = path.read_bytes()
    for position in range(len(content)):
        path.write_bytes(content[:position] + bytes([content[position] ^ 0x41]) + content[position + 1 :])
        try:
            stored = checkpoint.load(path.parent)
        except CheckpointError:
            continue
        np.testing.assert_array_equal(stored.variables["model"][0][1], KERNEL)  # a flag or a date of the archive
        assert (stored.epoch, stored.history, stored.run_id) == (2, {"loss": [0.5, 0.5]}, "a run")


def without(name):
    return lambda content: content.pop(name) and None


def with_value(**values):
    return lambda content: content | values


def with_entry(**values):
    return lambda content: content["variables"]["model"][0][1].update(values)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda content: [content], "state.json holds a list, expected an object"),
        (with_value(format=1), "its format is 1, this version of deepkit reads 2"),
        (without("run_id"), "run_id is None, expected a str"),
        (with_value(epoch="2"), "epoch is '2', expected a int"),
        (with_value(epoch=-1), "it holds the durations of 2 epochs, expected -1"),
        (with_value(seconds=[1.0]), "it holds the durations of 1 epochs, expected 2"),
        (with_value(history={"loss": [1.0, 1.0, 1.0]}), "the history of loss does not have a value for each of 2"),
        (with_value(callbacks=[3]), "is not a complete checkpoint"),
        (with_value(variables={"model": []}), r"its groups of variables are ['model'], expected"),
        (with_entry(array=9), "the array 000009 is missing, or listed twice"),
        (with_entry(array=1, shape=[], dtype="int64"), "the array 000001 is missing, or listed twice"),
        (with_entry(array="1"), "is not a complete checkpoint"),
        (with_entry(shape=[3, 3]), "the array 000000 has 24 bytes, which is not the shape [3, 3] of float32"),
        (with_entry(shape=[-2, -3]), "which is not the shape [-2, -3] of float32"),
        (with_entry(dtype="float64"), "the array 000000 has 24 bytes, which is not the shape [2, 3] of float64"),
        (with_entry(dtype="object"), "the type of an array is object, expected numbers"),
        (with_entry(dtype="V0"), "the type of an array is V0, expected numbers"),
        (with_entry(dtype="nonsense"), "is not a complete checkpoint"),
        (lambda content: content["variables"].update(model=[3]), "is not a complete checkpoint"),
    ],
)
def test_a_valid_archive_with_another_state(path, change, text):
    rewrite(path, change)
    assert text in error(path).problem


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda members: members.pop("000000"), "the array 000000 is missing"),
        (lambda members: members.pop("state.json"), "state.json"),
        (lambda members: members.update(extra=b"1"), "state.json does not list its members extra"),
        (lambda members: members.update({"000000": b"123"}), "the array 000000 has 3 bytes, which is not the shape"),
        (lambda members: members.update({"state.json": b"[" * 100_000}), "is not a complete checkpoint"),
        (lambda members: members.update({"state.json": b"\xff\xfe"}), "is not a complete checkpoint"),
    ],
)
def test_a_valid_archive_with_other_members(path, change, text):
    rewrite(path, change_members=change)
    assert text in error(path).problem


def test_a_compressed_archive_is_refused_before_it_is_read(path):
    rewrite(path, compression=zipfile.ZIP_DEFLATED)
    assert "is compressed or encrypted" in error(path).problem


@pytest.mark.parametrize("size", [10_000, 2**31, 2**60])
def test_a_size_beyond_the_end_of_the_file_is_refused_before_it_is_allocated(path, size):
    with zipfile.ZipFile(path, "a") as archive:
        member = archive.getinfo("state.json")
        member.file_size = member.compress_size = size
        archive.comment = b"a change, so that the list of members is written again"
    assert "its members are larger than the file" in error(path).problem


def test_a_directory_in_place_of_the_newest_checkpoint(path):
    path.replace(path.with_name(checkpoint.PREVIOUS))
    path.mkdir()
    caught = error(path)
    assert caught.problem.endswith("is a directory, expected a checkpoint")
    assert caught.hint == f"move {path} away, to resume from epoch 2: the previous checkpoint is intact"


def test_a_dangling_link_is_not_an_absent_checkpoint(path):
    path.unlink()
    path.symlink_to("missing.zip")
    assert "cannot be read: No such file" in error(path).problem


@pytest.mark.parametrize("number", [errno.EACCES, errno.EIO])
def test_a_file_that_cannot_be_read(path, number, monkeypatch):
    def refuse(*args, **kwargs):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(zipfile, "ZipFile", refuse)
    caught = error(path)
    assert caught.problem.endswith(f"cannot be read: {os.strerror(number)}")
    assert caught.hint == "fix the permissions of the file or its disk, and repeat the call: it resumes from there"


def test_a_lack_of_memory_is_not_reported_as_damage(path, monkeypatch):
    monkeypatch.setattr(np, "frombuffer", lambda *args: (_ for _ in ()).throw(MemoryError))
    with pytest.raises(MemoryError):
        checkpoint.load(path.parent)


def test_the_hint_names_the_previous_checkpoint_only_if_it_is_intact(path):
    checkpoint.save(path.parent, example(epoch=3))
    path.write_bytes(b"damage")
    previous = path.with_name(checkpoint.PREVIOUS)
    assert error(path).hint == (
        f"run `mv {previous} {path}`, to resume from epoch 2: the previous checkpoint is intact"
    )
    previous.write_bytes(b"damage")
    assert error(path).hint == (
        "use another run_dir, to start again from the first epoch; the previous checkpoint is damaged too"
    )
    path.unlink()
    assert error(previous).hint == "use another run_dir, to start again from the first epoch"


@pytest.mark.parametrize(
    ("kernel", "text"),
    [
        (KERNEL.astype("float64"), "it holds float64 for dense/kernel, and the model has float32"),
        (KERNEL.astype("int32"), "it holds int32 for dense/kernel, and the model has float32"),
        (KERNEL.T, r"it holds shape (3, 2) for dense/kernel, and the model has (2, 3)"),
        (None, "it holds 0 variables of the model, and the model has 1"),
    ],
)
def test_a_checkpoint_of_another_model(kernel, text):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3, use_bias=False, name="dense")])
    model.compile("sgd", "mse")
    before = model.get_weights()
    variables = state.capture(model)
    variables["model"] = [] if kernel is None else [("dense/kernel", kernel)]
    with pytest.raises(CheckpointError) as caught:
        state.restore(model, variables, "checkpoint.zip")
    assert caught.value.problem.replace("sequential/", "").endswith(text)
    np.testing.assert_array_equal(model.get_weights(), before)
