"""Weights of keras.applications in our definitions: the same output, and what does not fit by its text."""

import warnings

import h5py
import keras
import numpy as np
import pytest

import deepkit as dk
from recipes.vision import imagenet

X = np.random.default_rng(0).uniform(0, 255, (2, 32, 32, 3)).astype("float32")
QUICK = ("vgg16",)  # the others are deep: they take their time
BASES = [pytest.param(n, marks=() if n in QUICK else pytest.mark.slow) for n in sorted(imagenet.NETWORKS)]
URL = "https://storage.example/vgg16/vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5"


def narrow(include_top=True, num_classes=1000, filters=4):
    """A stand-in with the shape of a VGG and few weights."""
    top = [dk.MLP([6], name="fc"), dk.Classifier(num_classes, activation="softmax")] if include_top else []
    return dk.Sequential([dk.ConvStack(filters, norm=None), *top], name="narrow")


def donor(weights=None, include_top=True, input_shape=None, num_classes=1000, filters=4):
    """The stand-in as keras.applications would have it."""
    x = inputs = keras.Input(input_shape or ((224, 224, 3) if include_top else (None, None, 3)))
    for name in ("block1_conv1", "block1_conv2"):
        x = keras.layers.Conv2D(filters, 3, padding="same", activation="relu", name=name)(x)
    x = keras.layers.MaxPooling2D(2, name="block1_pool")(x)
    if include_top:
        x = keras.layers.Dense(6, activation="relu", name="fc1")(keras.layers.Flatten()(x))
        x = keras.layers.Dense(num_classes, activation="softmax", name="predictions")(x)
    model = keras.Model(inputs, x, name="donor")
    if weights == "imagenet":
        raise Exception(f"URL fetch failure on {URL}: None -- [Errno -2] Name or service not known")
    if weights:
        model.load_weights(weights)
    return model


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(keras.applications, "Narrow", donor, raising=False)
    monkeypatch.setitem(imagenet.NETWORKS, "narrow", imagenet.Network(narrow, "Narrow", "vgg16"))


def saved(model, path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that the older format is older
        (model.save_weights if path.name.endswith(".weights.h5") else model.save)(path)
    return path


@pytest.mark.parametrize("name", BASES)
def test_the_base_computes_what_keras_computes(name):
    network = imagenet.NETWORKS[name]
    theirs = getattr(keras.applications, network.application)(weights=None, include_top=False)
    for weight in theirs.weights:  # no two vectors alike: a swap of two layers would show
        if len(weight.shape) == 1:
            weight.assign(weight + np.random.uniform(0, 0.1, weight.shape))
    ours = network.definition(include_top=False, num_classes=1000).build((32, 32, 3))
    imagenet.copy_weights(theirs, ours)
    x = imagenet.preprocessing(name)(X.copy())
    expected = keras.ops.convert_to_numpy(theirs(x))
    assert np.abs(expected).max() > 1e-3
    np.testing.assert_allclose(ours(x), expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("name", BASES)
def test_with_its_top_it_has_keras_layers(name):
    network = imagenet.NETWORKS[name]
    with keras.StatelessScope(initialize_variables=False):
        ours = network.definition(include_top=True, num_classes=1000).build(imagenet.SHAPE)
        theirs = getattr(keras.applications, network.application)(weights=None)
        assert [s for _, s in imagenet._shapes_of(ours)] == [s for _, s in imagenet._shapes_of(theirs)]
    assert ours.layers[-1].activation is keras.activations.softmax


@pytest.mark.parametrize("ending", [".h5", ".weights.h5", ".keras"])
@pytest.mark.parametrize("top", [True, False])
def test_every_kind_of_file_loads(small, tmp_path, ending, top):
    theirs = donor(input_shape=(8, 8, 3), num_classes=3, include_top=top)
    path = saved(theirs, tmp_path / f"w{ending}")
    ours = imagenet.pretrained("narrow", weights=path, include_top=top, input_shape=(8, 8, 3), num_classes=3)
    np.testing.assert_allclose(ours(X[:, :8, :8]), theirs(X[:, :8, :8]), rtol=1e-5)


def test_names_in_bytes_as_in_the_published_files_are_read(small, tmp_path):
    theirs = donor(include_top=False)
    theirs.set_weights([np.full(w.shape, 0.1) for w in theirs.get_weights()])
    path = saved(theirs, tmp_path / "w.h5")
    with h5py.File(path, "a") as file:
        for group in (file["model_weights"], *file["model_weights"].values()):
            for key in ("layer_names", "weight_names"):
                if key in group.attrs:
                    group.attrs[key] = np.array([str(name).encode() for name in group.attrs[key]], "S")
    ours = imagenet.pretrained("narrow", weights=path, include_top=False)
    assert all(np.all(weight == np.float32(0.1)) for weight in ours.get_weights())
    with pytest.raises(ValueError, match=r"4 layers with weights here, and 2 there: fc.dense is here only"):
        imagenet.pretrained("narrow", weights=path)


def test_a_base_takes_images_of_any_size_and_trains_under_a_new_head(small, tmp_path):
    path = saved(donor(include_top=False), tmp_path / "w.h5")
    base = imagenet.pretrained("narrow", weights=str(path), include_top=False, input_shape=(None, None, 3))
    base.trainable = False
    before = base.get_weights()
    model = dk.fit(
        dk.Sequential([base, dk.Classifier(2, pool="avg")]), (X, np.array([0, 1])), epochs=1, batch_size=2, verbose=0
    ).model
    assert len(model.trainable_weights) == 2
    for a, b in zip(before, base.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_without_a_network_the_error_says_where_a_file_may_be_put(small, tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    with pytest.raises(ValueError, match="cannot be downloaded") as error:
        imagenet.pretrained("narrow", include_top=False)
    assert str(error.value) == (
        f"the weights of narrow are not in {tmp_path}/models and cannot be downloaded: "
        f"URL fetch failure on {URL}: None -- [Errno -2] Name or service not known\n"
        "  hint: again with a network, vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5 put into "
        f"{tmp_path}/models, or weights= with the path of such a file"
    )


@pytest.mark.filterwarnings("ignore:Skipping nested container")  # Keras warns, and then raises
@pytest.mark.parametrize(
    ("ending", "filters", "top", "text"),
    [
        (
            ".h5",
            5,
            False,
            "conv_block1.conv has weights of 3x3x3x4 and 4 here, and 3x3x3x5 and 5 of block1_conv1 there",
        ),
        (".h5", 4, True, "2 layers with weights here, and 4 there: fc1 is there only"),
        (".weights.h5", 5, False, r"<Conv2D name=block1_conv1.*\(3, 3, 3, 4\).*\(3, 3, 3, 5\)"),
    ],
)
def test_a_file_of_another_network_says_which_layer(small, tmp_path, ending, filters, top, text):
    other = donor(filters=filters, include_top=top, input_shape=(8, 8, 3), num_classes=3)
    path = saved(other, tmp_path / f"w{ending}")
    with pytest.raises(ValueError, match=text) as error:
        imagenet.pretrained("narrow", weights=path, include_top=False)
    assert str(error.value).startswith(f"{path} does not hold the weights of narrow as asked for: ")
    assert "Target variable" not in str(error.value)
    assert "hint: include_top=, num_classes= and input_shape= as the file has them" in str(error.value)


def test_a_file_that_is_none_or_damaged(small, tmp_path):
    with pytest.raises(ValueError, match=r"there is no file .*gone.h5\n  hint: weights="):
        imagenet.pretrained("narrow", weights=tmp_path / "gone.h5")
    path = tmp_path / "damaged.h5"
    path.write_text("not HDF5")
    with pytest.raises(ValueError, match=r"damaged.h5 does not hold the weights of narrow .*file signature not found"):
        imagenet.pretrained("narrow", weights=path)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"input_shape": (64, 64, 3)}, "fc.dense has weights of 4096x6 and 6 here, and 50176x6 and 6 there\n"),
        ({"num_classes": 10}, "classifier.dense has weights of 6x10 and 10 here, and 6x1000 and 1000 there\n"),
        ({"num_classes": 10}, "hint: include_top=False, and a dk.Classifier of your own behind it"),
        ({"input_shape": (64, 64, 1), "include_top": False}, "3x3x1x4 .*\n  hint: images of three channels"),
    ],
)
def test_what_imagenet_was_not_like_is_refused_before_a_download(small, arguments, text):
    with pytest.raises(ValueError, match=f"narrow was trained on 224x224x3 and 1,000 classes: (.|\n)*{text}"):
        imagenet.pretrained("narrow", **arguments)


def test_an_image_too_small_is_told_its_place():
    with pytest.raises(dk.DefinitionError, match=r"stage5.pool: .* at least 2x2, received 1x1x512\n(.*\n)*  hint: .*"):
        imagenet.pretrained("vgg16", include_top=False, input_shape=(16, 16, 3))


def test_an_unknown_name_is_told_its_neighbour():
    with pytest.raises(ValueError, match=r"no pretrained network is called 'vgg61'; did you mean 'vgg1[69]'"):
        imagenet.pretrained("vgg61")
    with pytest.raises(ValueError, match=r"called 'zzz'; there are: .*vgg16, vgg19"):
        imagenet.preprocessing("zzz")


def test_depths_without_weights_are_said_to_have_none():
    with pytest.raises(
        ValueError, match=r"Keras has no weights of resnet18\n  hint: .resnet50., or recipes.*resnet18\(\)"
    ):
        imagenet.pretrained("resnet18")


def test_no_weights_are_told_the_alternatives():
    with pytest.raises(ValueError, match='there is no file None\\n  hint: weights="imagenet"'):
        imagenet.pretrained("vgg16", weights=None)


def test_a_file_that_is_cut_short_is_named(small, tmp_path):
    whole, cut = saved(donor(input_shape=(32, 32, 3)), tmp_path / "whole.h5"), tmp_path / "cut.h5"
    cut.write_bytes(whole.read_bytes()[:-1000])
    with pytest.raises(ValueError, match=r"cut\.h5 does not hold the weights of narrow as asked for: "):
        imagenet.pretrained("narrow", weights=cut)


def test_copied_weights_must_fit():
    one, other = (narrow(False, filters=n).build((8, 8, 3)) for n in (4, 5))
    before = other.get_weights()
    with pytest.raises(ValueError, match=r"narrow do not fit narrow: conv_stack.conv_block1.conv has"):
        imagenet.copy_weights(one, other)
    np.testing.assert_array_equal(before[0], other.get_weights()[0])


def test_preprocessing_of_vgg_subtracts_the_mean_in_bgr():
    image = np.zeros((1, 1, 1, 3), "float32") + np.array([10.0, 20.0, 30.0], "float32")
    found = imagenet.preprocessing("vgg16")(image.copy())
    np.testing.assert_allclose(found[0, 0, 0], [30 - 103.939, 20 - 116.779, 10 - 123.68], rtol=1e-5)


def test_the_papers_subtract_the_mean_in_rgb():
    found = imagenet.subtract_mean(np.array([[[[200, 150, 100]]]], "uint8"))
    np.testing.assert_allclose(found[0, 0, 0], [200 - 123.68, 150 - 116.779, 100 - 103.939], rtol=1e-5)


def test_preprocessing_is_what_keras_has_for_the_network():
    image = np.full((1, 2, 2, 3), 255.0, "float32")
    for name, network in imagenet.NETWORKS.items():
        module = getattr(keras.applications, network.module)
        assert imagenet.preprocessing(name) is module.preprocess_input
        assert hasattr(module, network.application)
    np.testing.assert_allclose(imagenet.preprocessing("resnet50v2")(image.copy()), 1.0)  # from -1 to 1
