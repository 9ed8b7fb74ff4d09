"""The JSON files of a prepared folder: which classes they may name, and damaged files."""

import json
import sys

import numpy as np
import pytest
import tensorflow_datasets as tfds

from deepkit import data as dk_data
from deepkit.data import tfds_metadata
from deepkit.data.errors import DataError
from tests.data.tiny import TinyShapes

MODULE = "module_with_an_effect"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A prepared folder, and an importable module beside it that no program has imported."""
    TinyShapes(data_dir=tmp_path / "data").download_and_prepare()
    (tmp_path / "path").mkdir()
    (tmp_path / "path" / f"{MODULE}.py").write_text("raise SystemExit('imported')")
    monkeypatch.syspath_prepend(tmp_path / "path")
    yield tmp_path / "data" / "tiny_shapes" / "1.0.0"
    assert MODULE not in sys.modules


def load(folder):
    return dk_data.load("tiny_shapes", data_dir=folder.parents[1], verbose=False)


def name_class(features, spelling="pythonClassName"):
    image = features["featuresDict"]["features"]["image"]
    image.pop("pythonClassName")
    image[spelling] = f"{MODULE}.Image"
    return features


def name_class_at_the_top(features):
    return {**features, "pythonClassName": f"{MODULE}.FeaturesDict"}


def name_class_in_a_sequence(features):
    items = features["featuresDict"]["features"]
    items["label"] = {
        "pythonClassName": "tensorflow_datasets.core.features.sequence_feature.Sequence",
        "sequence": {"feature": {**items["label"], "pythonClassName": f"{MODULE}.ClassLabel"}, "length": "-1"},
    }
    return features


def name_class_in_text(features):
    inner = {"x": {"type": f"{MODULE}.Tensor", "content": {"shape": [], "dtype": "int32"}}}
    name = "tensorflow_datasets.core.features.features_dict.FeaturesDict"
    features["featuresDict"]["features"]["label"] = {
        "pythonClassName": name,
        "jsonFeature": {"json": json.dumps(inner)},
    }
    return features


def legacy_format(features):
    return {"type": f"{MODULE}.FeaturesDict", "content": {}, "proto_cls": ""}


@pytest.mark.parametrize(
    "change",
    [
        name_class, lambda features: name_class(features, "python_class_name"), name_class_at_the_top,
        name_class_in_a_sequence, name_class_in_text, legacy_format,
    ],
)  # fmt: skip
def test_a_class_that_is_not_a_feature_is_not_imported(folder, change):
    path = folder / "features.json"
    path.write_text(json.dumps(change(json.loads(path.read_text()))))
    with pytest.raises(DataError) as caught:
        load(folder)
    assert f"{path} names the class '{MODULE}." in caught.value.problem
    assert "is not a feature of tensorflow_datasets" in caught.value.problem
    hint = f"if you trust the class, import {MODULE} before you load; otherwise move the folder {folder} away and load"
    assert caught.value.hint == f"{hint} again"


def test_the_features_of_dataset_info_are_checked(folder):
    path = folder / "dataset_info.json"
    features = name_class(json.loads((folder / "features.json").read_text()))
    path.write_text(json.dumps({**json.loads(path.read_text()), "features": features}))
    with pytest.raises(DataError, match=rf"dataset_info\.json names the class '{MODULE}\.Image'"):
        load(folder)


@pytest.mark.parametrize("name", ["os.system", "Image", 3, ["os.system"], None, ""])
def test_odd_names_of_classes(folder, name):
    path = folder / "features.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "pythonClassName": name}))
    with pytest.raises(DataError, match=r"names the class .* which is not a feature of tensorflow_datasets"):
        load(folder)


def test_a_class_may_not_read_another_file(folder):
    label = {"type": "tensorflow_datasets.core.features.class_label_feature.ClassLabel"}
    path = folder / "features.json"
    path.write_text(json.dumps({**label, "content": {"names_file": "/etc/hostname"}}))
    with pytest.raises(DataError, match=r"names the file '/etc/hostname'; only files in its folder may be read"):
        load(folder)


class Marked(tfds.features.Scalar):
    """A feature of the user's, in a module that is imported."""


def test_a_feature_of_the_user_is_read_if_its_module_is_imported(folder):
    path = folder / "features.json"
    features = json.loads(path.read_text())
    features["featuresDict"]["features"]["label"] = Marked(dtype=np.int64).to_json()
    path.write_text(json.dumps(features))
    tfds_metadata.check_metadata(folder)


def test_the_earlier_name_of_a_feature_of_tfds_is_allowed(folder):
    path = folder / "features.json"
    features = json.loads(path.read_text())
    inner = {"shape": [], "dtype": "int64", "encoding": "none"}
    name = "tensorflow_datasets.core.features.feature.Tensor"
    features["featuresDict"]["features"]["label"] = {
        "pythonClassName": name,
        "jsonFeature": {"json": json.dumps(inner)},
    }
    path.write_text(json.dumps(features))
    tfds_metadata.check_metadata(folder)


def test_all_features_of_tfds_are_allowed(tmp_path):
    features = tfds.features.FeaturesDict(
        {
            "audio": tfds.features.Audio(), "box": tfds.features.BBoxFeature(), "image": tfds.features.Image(),
            "labeled": tfds.features.LabeledImage(labels=3), "scalar": np.int32, "text": tfds.features.Text(),
            "sequence": tfds.features.Sequence({"x": np.float32}), "video": tfds.features.Video((None, 4, 4, 3)),
            "dataset": tfds.features.Dataset({"x": np.float32}), "label": tfds.features.ClassLabel(num_classes=2),
            "pair": tfds.features.Translation(["de", "en"]), "tensor": tfds.features.Tensor(shape=(2,), dtype=np.int32),
            "type": np.int32, "json": np.int32, "names_file": np.int32,
        }
    )  # fmt: skip
    features.save_config(tmp_path)
    tfds_metadata.check_metadata(tmp_path)


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("features.json", "{ not", r"features\.json is not JSON: Expecting property name"),
        ("features.json", "[" * 100_000, r"features\.json is nested too deeply"),
        ("features.json", "[" * 500 + "]" * 500, r"features\.json is nested too deeply: expected at most 100 levels"),
        ("features.json", '{"jsonFeature": {"json": "{"}}', r"features\.json is not JSON"),
        ("features.json", b"\xff\xfe", r"features\.json is not JSON: 'utf-8' codec"),
        ("dataset_info.json", "", r"dataset_info\.json is not JSON: Expecting value"),
        ("metadata.json", " " * 2_000, r"metadata\.json has 2,000 bytes, expected at most 1,999"),
        ("label.labels.txt", "a\n" * 1_000, r"label\.labels\.txt has 2,000 bytes, expected at most 1,999"),
    ],
)
def test_damaged_and_oversized_files(folder, name, text, problem, monkeypatch):
    monkeypatch.setattr(tfds_metadata, "MAX_BYTES", 1_999 if "bytes" in problem else tfds_metadata.MAX_BYTES)
    (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(DataError, match=problem) as caught:
        load(folder)
    assert "damaged or incomplete" in caught.value.problem
    assert str(folder) in caught.value.problem
