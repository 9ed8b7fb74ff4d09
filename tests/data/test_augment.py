import keras
import numpy as np
import pytest
import tensorflow as tf

from deepkit import data as dk_data
from deepkit.data import Affine, Augmentation, Elastic, Flip, PadCrop, Shift, augment, random

ALL = [Shift(3), Flip(), Flip("vertical"), PadCrop(2), Affine(10, 0.1, 0.1, 2.0), Elastic(), Elastic(8, 3.0)]


def images(count=64, height=12, width=10, channels=3):
    return np.random.RandomState(0).uniform(0, 255, (count, height, width, channels)).astype("float32")


def keys(index, epoch=0, seed=0):
    return random.keys(seed, epoch, np.asarray(index))


@pytest.mark.parametrize("step", ALL, ids=repr)
def test_shape_and_dtype_are_kept(step):
    changed = step(images(), keys(range(64)))
    assert changed.shape == (64, 12, 10, 3)
    assert changed.dtype == tf.float32


@pytest.mark.parametrize("step", ALL, ids=repr)
def test_value_prints_as_the_code_that_makes_it(step):
    assert eval(repr(step)) == step
    assert hash(eval(repr(step))) == hash(step)


@pytest.mark.parametrize("chain", [*[[step] for step in ALL], ALL, [Affine(10), Elastic()]], ids=repr)
def test_an_example_does_not_depend_on_its_batch(chain):
    x = images()
    whole = augment.apply(tuple(chain), x, keys(range(64))).numpy()
    some = [57, 3, 60, 11, 0, 1, 2]
    np.testing.assert_array_equal(augment.apply(tuple(chain), x[some], keys(some)).numpy(), whole[some])


@pytest.mark.parametrize("step", ALL, ids=repr)
def test_epochs_and_seeds_differ(step):
    x = images()
    first = step(x, keys(range(64))).numpy()
    assert not np.array_equal(first, step(x, keys(range(64), epoch=1)).numpy())
    assert not np.array_equal(first, step(x, keys(range(64), seed=1)).numpy())


@pytest.mark.parametrize("step", [Shift(0), PadCrop(0), Affine(), Elastic(alpha=0)], ids=repr)
def test_nothing_asked_is_the_identity(step):
    np.testing.assert_allclose(step(images(), keys(range(64))), images(), atol=1e-3)


@pytest.mark.parametrize("step", [Shift(2, fill=7.0), PadCrop(2, fill=7.0)], ids=repr)
def test_shift_equals_padding_and_cropping(step):
    x = images(200)
    padded = np.pad(x, [(0, 0), (2, 2), (2, 2), (0, 0)], constant_values=7.0)
    crops = [(i, j) for i in range(5) for j in range(5)]
    seen = set()
    for number, found in enumerate(step(x, keys(range(200))).numpy()):
        fits = [(i, j) for i, j in crops if np.array_equal(padded[number, i : i + 12, j : j + 10], found)]
        assert len(fits) == 1
        seen.add(fits[0])
    assert len(seen) > 20  # of 25, all equally likely


@pytest.mark.parametrize(("direction", "axis"), [("horizontal", 2), ("vertical", 1)])
def test_flip_mirrors_about_half(direction, axis):
    x = images(400)
    changed = Flip(direction)(x, keys(range(400))).numpy()
    same = (changed == x).all((1, 2, 3))
    mirrored = (changed == np.flip(x, axis)).all((1, 2, 3))
    assert (same ^ mirrored).all()
    assert 0.4 < mirrored.mean() < 0.6


def test_affine_equals_the_general_sampling():
    x, key, step = images(16), keys(range(16)), Affine(20, 0.2, 0.2, 1.5, fill=9.0)
    from deepkit.data import warp

    places = warp.follow(step.maps(tf.constant(x), key), *warp.grid(tf.constant(x)))
    np.testing.assert_allclose(warp.sample(tf.constant(x), *places, 9.0), step(x, key), atol=0.1)


def test_affine_turns_about_the_centre():
    x = np.zeros((50, 9, 9, 1), "float32")
    x[:, 4, 4] = 1
    turned = Affine(rotation=180)(x, keys(range(50))).numpy()
    np.testing.assert_allclose(turned[:, 4, 4], 1, atol=1e-5)


def test_elastic_displaces_as_far_as_the_paper_says():
    x = tf.zeros((2000, 28, 28, 1))
    places, own = Elastic(34, 4).places(x, keys(range(2000))), np.arange(28)
    spread = 34 / 4 / np.sqrt(3) / (2 * np.sqrt(np.pi))  # 1.38 pixels
    for displacement in (places[0] - own[None, None], places[1] - own[None, :, None]):
        found = displacement.numpy()
        assert found.mean() == pytest.approx(0, abs=0.03)
        np.testing.assert_allclose(found.std(0), spread, rtol=0.1)  # everywhere, the corners too


def test_elastic_noise_of_two_points_per_sigma_is_as_smooth_as_the_full_one():
    found = (Elastic(34, 4).places(tf.zeros((4000, 28, 28, 1)), keys(range(4000)))[0] - np.arange(28)).numpy()
    for distance in (1, 4, 8):
        correlation = (found[:, 14, 10] * found[:, 14, 10 + distance]).mean() / found[:, 14, 10].var()
        assert correlation == pytest.approx(np.exp(-(distance**2) / (4 * 4**2)), abs=0.06)


def test_affine_then_elastic_is_one_sampling_of_both():
    x = np.tile(np.linspace(0, 255, 40, dtype="float32")[None, None, :, None], (8, 40, 1, 1))  # a ramp: blur-free
    key = keys(range(8))
    chain = (Affine(rotation=10), Elastic(8, 4))
    apart = Elastic(8, 4)(Affine(rotation=10)(x, random.fork(key, 0)), random.fork(key, 1)).numpy()
    together = augment.apply(chain, x, key).numpy()
    np.testing.assert_allclose(together[:, 10:-10, 10:-10], apart[:, 10:-10, 10:-10], atol=0.5)


def test_the_same_step_twice_draws_twice():
    x = images(100)
    key = keys(range(100))
    twice = augment.apply((Flip(), Flip()), x, key).numpy()
    assert not np.array_equal(twice, x)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: Shift(-1), "Shift: max_pixels must be a whole number of pixels, 0 or more, received -1"),
        (lambda: PadCrop(1.5), "PadCrop: padding must be a whole number of pixels, 0 or more, received 1.5"),
        (lambda: Flip("up"), "Flip: direction must be 'horizontal' or 'vertical', received 'up'"),
        (lambda: Affine(rotation=-5), "Affine: rotation must be a number, 0 or more, received -5"),
        (lambda: Affine(shear=float("nan")), "Affine: shear must be a number, 0 or more, received nan"),
        (lambda: Elastic(sigma=0), "Elastic: sigma must be above 0 pixels"),
    ],
)
def test_wrong_numbers_are_named(make, text):
    with pytest.raises(ValueError, match=text):
        make()


def test_what_is_no_augmentation_is_named():
    with pytest.raises(
        TypeError, match=r"augment\[1\]: expected a deepkit.data.Augmentation .*put them into the model"
    ):
        augment.check([Shift(1), keras.layers.RandomFlip()])
    with pytest.raises(TypeError, match="expected a list of augmentations, received 3"):
        dk_data.from_arrays(images(), augment=3)


def test_augmentation_needs_images():
    with pytest.raises(ValueError, match=r"augmentations need images.*received float32 \(None, 12, 10\)"):
        dk_data.from_arrays(images()[..., 0], augment=[Shift(1)])
    with pytest.raises(ValueError, match="augmentations need images"):
        dk_data.load("iris", augment=[Flip()], verbose=False)


def test_a_user_can_add_one():
    class Darker(Augmentation):
        def __call__(self, images, keys):
            return images * (0.75 + 0.25 * random.uniform(keys, 1)[:, :, None, None])

    data = dk_data.from_arrays(images(), augment=[Darker(), Flip()])
    assert next(iter(data.train)).shape == (64, 12, 10, 3)
