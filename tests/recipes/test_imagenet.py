"""Weights of keras.applications in definitions: the same output, and the errors for weights that do not fit."""

import warnings

import h5py
import keras
import numpy as np
import pytest
from keras.src.backend import config as keras_config
from keras.src.utils import file_utils

import deepkit as dk
from recipes.vision import imagenet

X = np.random.default_rng(0).uniform(0, 255, (2, 32, 32, 3)).astype("float32")
DEEP = ("resnet101", "resnet101v2", "resnet152", "resnet152v2", "densenet169", "densenet201")  # more of the same layers
QUICK = ("vgg16",)
BASES = [
    pytest.param(n, marks=pytest.mark.thorough if n in DEEP else () if n in QUICK else pytest.mark.slow)
    for n in sorted(imagenet.NETWORKS)
]
NETWORKS = [pytest.param(n, marks=pytest.mark.slow if n in DEEP else ()) for n in sorted(imagenet.NETWORKS)]
URL = "https://storage.example/vgg16/vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5"


def narrow(include_top=True, num_classes=1000, filters=4):
    """Return a definition like a VGG with few weights."""
    top = [dk.MLP([6], name="fc"), dk.Classifier(num_classes, activation="softmax")] if include_top else []
    return dk.Sequential([dk.ConvStack(filters, norm=None), *top], name="narrow")


def keras_network(weights=None, include_top=True, input_shape=None, classes=1000, filters=4):
    """Return the same network as keras.applications would make it."""
    x = inputs = keras.Input(input_shape or ((224, 224, 3) if include_top else (None, None, 3)))
    for name in ("block1_conv1", "block1_conv2"):
        x = keras.layers.Conv2D(filters, 3, padding="same", activation="relu", name=name)(x)
    x = keras.layers.MaxPooling2D(2, name="block1_pool")(x)
    if include_top:
        x = keras.layers.Dense(6, activation="relu", name="fc1")(keras.layers.Flatten()(x))
        x = keras.layers.Dense(classes, activation="softmax", name="predictions")(x)
    model = keras.Model(inputs, x, name="narrow_in_keras")
    if weights == "imagenet":
        raise Exception(f"URL fetch failure on {URL}: None -- [Errno -2] Name or service not known")
    if weights:
        model.load_weights(weights)
    return model


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(keras.applications, "Narrow", keras_network, raising=False)
    monkeypatch.setitem(imagenet.NETWORKS, "narrow", imagenet.Network(narrow, "Narrow", "vgg16"))


def batch_norms(model):
    return [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]


def saved(model, path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Keras warns about its older format
        (model.save_weights if path.name.endswith(".weights.h5") else model.save)(path)
    return path


@pytest.mark.parametrize("name", BASES)
def test_the_output_of_the_base_equals_keras(name):
    network = imagenet.NETWORKS[name]
    reference = getattr(keras.applications, network.application)(weights=None, include_top=False)
    for weight in reference.weights:  # make vectors differ, so that swapped layers are detected
        if len(weight.shape) == 1:
            weight.assign(weight + np.random.uniform(0, 0.1, weight.shape))
    model = network.definition(include_top=False, num_classes=1000).build((32, 32, 3))
    imagenet.copy_weights(reference, model)
    x = imagenet.preprocessing(name)(X.copy())
    expected = keras.ops.convert_to_numpy(reference(x))
    assert np.abs(expected).max() > 1e-3
    np.testing.assert_allclose(model(x), expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("name", NETWORKS)
def test_with_its_top_it_has_the_layers_of_keras(name):
    network = imagenet.NETWORKS[name]
    with keras.StatelessScope(initialize_variables=False):
        model = network.definition(include_top=True, num_classes=1000).build(imagenet.INPUT_SHAPE)
        reference = getattr(keras.applications, network.application)(weights=None)
        shapes, expected = imagenet._model_shapes(model), imagenet._model_shapes(reference)
    assert [layer_shapes for _, layer_shapes in shapes] == [layer_shapes for _, layer_shapes in expected]
    assert model.layers[-1].activation is keras.activations.softmax
    pairs, expected = ([(norm.momentum, norm.epsilon) for norm in batch_norms(net)] for net in (model, reference))
    assert pairs == expected
    assert set(pairs) == (set() if name.startswith("vgg") else {(0.99, 1.001e-5)})


def refuse_download(address, *args, **kwargs):
    raise AssertionError(f"downloads {address}")


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """Return the folder of Keras's cache; the checksum of a file in it is not compared, and nothing is downloaded."""
    monkeypatch.setattr(keras_config, "_KERAS_DIR", str(tmp_path))
    monkeypatch.setattr(file_utils, "validate_file", lambda *args, **kwargs: True)
    monkeypatch.setattr(file_utils, "urlretrieve", refuse_download)
    folder = tmp_path / "models"
    folder.mkdir()
    return folder


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "file", "top"),
    [
        ("vgg16", "vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5", False),
        ("resnet50", "resnet50_weights_tf_dim_ordering_tf_kernels.h5", True),
        ("resnet50v2", "resnet50v2_weights_tf_dim_ordering_tf_kernels_notop.h5", False),
        ("densenet121", "densenet121_weights_tf_dim_ordering_tf_kernels_notop.h5", False),
    ],
)
def test_the_weights_in_the_cache_of_keras_are_loaded(cache, name, file, top):
    reference = getattr(keras.applications, imagenet.NETWORKS[name].application)(weights=None, include_top=top)
    for weight in reference.weights:
        weight.assign(np.random.uniform(0.01, 0.02, weight.shape))
    saved(reference, cache / file)
    model = imagenet.pretrained(name, include_top=top)
    pairs = list(zip(reference.get_weights(), model.get_weights(), strict=True))
    assert all(np.array_equal(expected, weight) for expected, weight in pairs)
    assert model.output_shape[1:] == ((1000,) if top else reference.compute_output_shape((1, 224, 224, 3))[1:])


@pytest.mark.slow
def test_the_cache_of_keras_has_other_weights(cache):
    with pytest.raises(
        ValueError, match=r"weights of vgg16 are not in (.|\n)*cannot be downloaded: downloads https://"
    ):
        imagenet.pretrained("vgg16", include_top=False)
    with pytest.raises(ValueError, match=r"1,000 classes: expected \S+ and 5 for (.|\n)*hint: use include_top=False"):
        imagenet.pretrained("resnet50", num_classes=5)


@pytest.mark.parametrize("extension", [".h5", ".weights.h5", ".keras"])
@pytest.mark.parametrize("top", [True, False])
def test_every_kind_of_file_loads(small, tmp_path, extension, top):
    reference = keras_network(input_shape=(8, 8, 3), classes=3, include_top=top)
    path = saved(reference, tmp_path / f"w{extension}")
    model = imagenet.pretrained("narrow", weights=path, include_top=top, input_shape=(8, 8, 3), num_classes=3)
    np.testing.assert_allclose(model(X[:, :8, :8]), reference(X[:, :8, :8]), rtol=1e-5)


def test_names_stored_as_bytes_are_read(small, tmp_path):
    reference = keras_network(include_top=False)
    reference.set_weights([np.full(w.shape, 0.1) for w in reference.get_weights()])
    path = saved(reference, tmp_path / "w.h5")
    with h5py.File(path, "a") as file:
        for group in (file["model_weights"], *file["model_weights"].values()):
            for key in ("layer_names", "weight_names"):
                if key in group.attrs:
                    group.attrs[key] = np.array([str(name).encode() for name in group.attrs[key]], "S")
    model = imagenet.pretrained("narrow", weights=path, include_top=False)
    assert all(np.all(weight == np.float32(0.1)) for weight in model.get_weights())
    with pytest.raises(ValueError, match=r"expected 4 layers with weights, received 2: there is nothing for fc.dense"):
        imagenet.pretrained("narrow", weights=path)


def test_a_base_takes_images_of_any_size_and_trains_under_a_new_head(small, tmp_path):
    path = saved(keras_network(include_top=False), tmp_path / "w.h5")
    base = imagenet.pretrained("narrow", weights=str(path), include_top=False, input_shape=(None, None, 3))
    base.trainable = False
    before = base.get_weights()
    model = dk.fit(
        dk.Sequential([base, dk.Classifier(2, pool="avg")]), (X, np.array([0, 1])), epochs=1, batch_size=2, verbose=0
    ).model
    assert len(model.trainable_weights) == 2
    for a, b in zip(before, base.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_failed_download_names_the_file_and_the_cache(small, tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    with pytest.raises(ValueError, match="cannot be downloaded") as error:
        imagenet.pretrained("narrow", include_top=False)
    assert str(error.value) == (
        f"the weights of narrow are not in {tmp_path}/models and cannot be downloaded: "
        f"URL fetch failure on {URL}: None -- [Errno -2] Name or service not known\n"
        "  hint: connect to a network, put vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5 into "
        f"{tmp_path}/models, or use weights= with the path of such a file"
    )


@pytest.mark.filterwarnings("ignore:Skipping nested container")  # Keras warns, and then raises
@pytest.mark.parametrize(
    ("extension", "filters", "top", "text"),
    [
        (
            ".h5",
            5,
            False,
            "expected 3x3x3x4 and 4 for conv_stack.conv_block1.conv, received 3x3x3x5 and 5 of block1_conv1",
        ),
        (".h5", 4, True, "expected 2 layers with weights, received 4: there is no layer for fc1"),
        (".weights.h5", 5, False, r"<Conv2D name=block1_conv1.*\(3, 3, 3, 4\).*\(3, 3, 3, 5\)"),
    ],
)
def test_a_file_of_another_network_names_the_layer_that_differs(small, tmp_path, extension, filters, top, text):
    other = keras_network(filters=filters, include_top=top, input_shape=(8, 8, 3), classes=3)
    path = saved(other, tmp_path / f"w{extension}")
    with pytest.raises(ValueError, match=text) as error:
        imagenet.pretrained("narrow", weights=path, include_top=False)
    assert str(error.value).startswith(f"{path} does not contain the weights of narrow: ")
    assert "Target variable" not in str(error.value)
    assert "hint: use the include_top=, num_classes= and input_shape= of the file" in str(error.value)


def test_a_missing_or_damaged_file_raises(small, tmp_path):
    with pytest.raises(ValueError, match=r"there is no file .*\n  hint: use weights="):
        imagenet.pretrained("narrow", weights=tmp_path / "gone.h5")
    path = tmp_path / "damaged.h5"
    path.write_text("not HDF5")
    with pytest.raises(
        ValueError, match=r"damaged.h5 does not contain the weights of narrow: .*file signature not found"
    ):
        imagenet.pretrained("narrow", weights=path)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"input_shape": (64, 64, 3)}, "expected 4096x6 and 6 for fc.dense, received 50176x6 and 6\n"),
        ({"num_classes": 10}, "expected 6x10 and 10 for classifier.dense, received 6x1000 and 1000\n"),
        ({"num_classes": 10}, "hint: use include_top=False, and add a dk.Classifier"),
        ({"input_shape": (64, 64, 1), "include_top": False}, "3x3x1x4 .*\n  hint: use images with three channels"),
    ],
)
def test_other_shapes_and_classes_raise_before_a_download(small, arguments, text):
    with pytest.raises(ValueError, match=f"narrow was trained on 224x224x3 and 1,000 classes: (.|\n)*{text}"):
        imagenet.pretrained("narrow", **arguments)


def test_an_image_that_is_too_small_raises():
    with pytest.raises(dk.DefinitionError, match=r"at least 2x2, received 1x1x512\n(.*\n)*  hint: .*") as error:
        imagenet.pretrained("vgg16", include_top=False, input_shape=(16, 16, 3))
    assert error.value.path == "stage5.pool"


def test_an_unknown_name_suggests_the_closest():
    with pytest.raises(ValueError, match=r"there is no pretrained network 'vgg61'; did you mean 'vgg1[69]'"):
        imagenet.pretrained("vgg61")
    with pytest.raises(ValueError, match=r"network 'zzz'; the networks are vgg16, vgg19"):
        imagenet.preprocessing("zzz")


def test_a_depth_without_weights_raises():
    with pytest.raises(
        ValueError, match=r"Keras has no weights of resnet18\n  hint: use .resnet50., or train recipes.*resnet18\(\)"
    ):
        imagenet.pretrained("resnet18")


def test_weights_none_raises():
    with pytest.raises(ValueError, match='there is no file None\\n  hint: use weights="imagenet"'):
        imagenet.pretrained("vgg16", weights=None)


def test_a_truncated_file_is_named(small, tmp_path):
    whole, truncated = saved(keras_network(input_shape=(32, 32, 3)), tmp_path / "whole.h5"), tmp_path / "truncated.h5"
    truncated.write_bytes(whole.read_bytes()[:-1000])
    with pytest.raises(ValueError, match=r"truncated\.h5 does not contain the weights of narrow: "):
        imagenet.pretrained("narrow", weights=truncated)


def test_copied_weights_must_fit():
    source, target = (narrow(False, filters=n).build((8, 8, 3)) for n in (4, 5))
    before = target.get_weights()
    with pytest.raises(ValueError, match=r"narrow do not fit narrow: expected .* for conv_stack.conv_block1.conv"):
        imagenet.copy_weights(source, target)
    np.testing.assert_array_equal(before[0], target.get_weights()[0])


def test_preprocessing_of_vgg_subtracts_the_mean_in_bgr():
    image = np.zeros((1, 1, 1, 3), "float32") + np.array([10.0, 20.0, 30.0], "float32")
    processed = imagenet.preprocessing("vgg16")(image.copy())
    np.testing.assert_allclose(processed[0, 0, 0], [30 - 103.939, 20 - 116.779, 10 - 123.68], rtol=1e-5)


def test_subtract_mean_takes_rgb():
    processed = imagenet.subtract_mean(np.array([[[[200, 150, 100]]]], "uint8"))
    np.testing.assert_allclose(processed[0, 0, 0], [200 - 123.68, 150 - 116.779, 100 - 103.939], rtol=1e-5)


def test_preprocessing_is_that_of_keras():
    image = np.full((1, 2, 2, 3), 255.0, "float32")
    for name, network in imagenet.NETWORKS.items():
        module = getattr(keras.applications, network.module)
        assert imagenet.preprocessing(name) is module.preprocess_input
        assert hasattr(module, network.application)
    np.testing.assert_allclose(imagenet.preprocessing("resnet50v2")(image.copy()), 1.0)  # range -1 to 1
