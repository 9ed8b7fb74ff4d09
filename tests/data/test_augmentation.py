import keras
import numpy as np
import pytest
import tensorflow as tf

from deepkit import data as dk_data
from deepkit.data import Affine, Augmentation, Elastic, Flip, PadCrop, Shift, stateless_random, warp
from deepkit.data.augmentation import augment_images, check_augmentations

ALL = [Shift(3), Flip(), Flip("vertical"), PadCrop(2), Affine(10, 0.1, 0.1, 2.0), Elastic(), Elastic(8, 3.0)]


def images(count=64, height=12, width=10, channels=3):
    return np.random.RandomState(0).uniform(0, 255, (count, height, width, channels)).astype("float32")


def keys(indices, epoch=0, seed=0):
    return stateless_random.example_keys(seed, epoch, np.asarray(indices))


@pytest.mark.parametrize("augmentation", ALL, ids=repr)
def test_shape_and_dtype_are_kept(augmentation):
    changed = augmentation(images(), keys(range(64)))
    assert changed.shape == (64, 12, 10, 3)
    assert changed.dtype == tf.float32


@pytest.mark.parametrize("augmentation", ALL, ids=repr)
def test_repr_is_the_code_that_makes_the_augmentation(augmentation):
    assert eval(repr(augmentation)) == augmentation
    assert hash(eval(repr(augmentation))) == hash(augmentation)


@pytest.mark.parametrize("chain", [*[[augmentation] for augmentation in ALL], ALL, [Affine(10), Elastic()]], ids=repr)
def test_an_example_does_not_depend_on_its_batch(chain):
    x = images()
    whole = augment_images(tuple(chain), x, keys(range(64))).numpy()
    some = [57, 3, 60, 11, 0, 1, 2]
    np.testing.assert_array_equal(augment_images(tuple(chain), x[some], keys(some)).numpy(), whole[some])


@pytest.mark.parametrize("augmentation", ALL, ids=repr)
def test_epochs_and_seeds_change_the_augmentation(augmentation):
    x = images()
    first = augmentation(x, keys(range(64))).numpy()
    assert not np.array_equal(first, augmentation(x, keys(range(64), epoch=1)).numpy())
    assert not np.array_equal(first, augmentation(x, keys(range(64), seed=1)).numpy())


@pytest.mark.parametrize("augmentation", [Shift(0), PadCrop(0), Affine(), Elastic(alpha=0)], ids=repr)
def test_amounts_of_zero_give_the_identity(augmentation):
    np.testing.assert_allclose(augmentation(images(), keys(range(64))), images(), atol=1e-3)


@pytest.mark.parametrize("augmentation", [Shift(2, fill=7.0), PadCrop(2, fill=7.0)], ids=repr)
def test_shift_equals_padding_and_cropping(augmentation):
    x = images(200)
    padded = np.pad(x, [(0, 0), (2, 2), (2, 2), (0, 0)], constant_values=7.0)
    crops = [(i, j) for i in range(5) for j in range(5)]
    offsets = set()
    for number, shifted in enumerate(augmentation(x, keys(range(200))).numpy()):
        matches = [(i, j) for i, j in crops if np.array_equal(padded[number, i : i + 12, j : j + 10], shifted)]
        assert len(matches) == 1
        offsets.add(matches[0])
    assert len(offsets) > 20  # of 25, all equally likely


@pytest.mark.parametrize(("direction", "axis"), [("horizontal", 2), ("vertical", 1)])
def test_flip_mirrors_about_half(direction, axis):
    x = images(400)
    changed = Flip(direction)(x, keys(range(400))).numpy()
    same = (changed == x).all((1, 2, 3))
    mirrored = (changed == np.flip(x, axis)).all((1, 2, 3))
    assert (same ^ mirrored).all()
    assert 0.4 < mirrored.mean() < 0.6


def test_affine_equals_bilinear_sampling_at_the_transformed_grid():
    x, example_keys, affine = images(16), keys(range(16)), Affine(20, 0.2, 0.2, 1.5, fill=9.0)
    transforms = affine.transforms(tf.constant(x), example_keys)
    coordinates = warp.transform_coordinates(transforms, *warp.pixel_grid(tf.constant(x)))
    sampled = warp.sample_bilinear(tf.constant(x), *coordinates, 9.0)
    np.testing.assert_allclose(sampled, affine(x, example_keys), atol=0.1)


def test_affine_turns_about_the_center():
    x = np.zeros((50, 9, 9, 1), "float32")
    x[:, 4, 4] = 1
    turned = Affine(rotation=180)(x, keys(range(50))).numpy()
    np.testing.assert_allclose(turned[:, 4, 4], 1, atol=1e-5)


def test_elastic_displacements_have_the_spread_of_the_paper():
    x = tf.zeros((2000, 28, 28, 1))
    (columns, rows), positions = Elastic(34, 4).coordinates(x, keys(range(2000))), np.arange(28)
    spread = 34 / 4 / np.sqrt(3) / (2 * np.sqrt(np.pi))  # 1.38 pixels
    for displacement in (columns - positions[None, None], rows - positions[None, :, None]):
        values = displacement.numpy()
        assert values.mean() == pytest.approx(0, abs=0.03)
        np.testing.assert_allclose(values.std(0), spread, rtol=0.1)  # at every pixel, including the corners


def test_elastic_noise_with_two_points_per_sigma_is_as_smooth_as_one_per_pixel():
    columns, _ = Elastic(34, 4).coordinates(tf.zeros((4000, 28, 28, 1)), keys(range(4000)))
    displacement = (columns - np.arange(28)).numpy()
    for distance in (1, 4, 8):
        center, other = displacement[:, 14, 10], displacement[:, 14, 10 + distance]
        correlation = (center * other).mean() / center.var()
        assert correlation == pytest.approx(np.exp(-(distance**2) / (4 * 4**2)), abs=0.06)


def test_affine_and_elastic_are_merged_into_one_sampling():
    x = np.tile(
        np.linspace(0, 255, 40, dtype="float32")[None, None, :, None], (8, 40, 1, 1)
    )  # a ramp, which sampling does not blur
    example_keys = keys(range(8))
    chain = (Affine(rotation=10), Elastic(8, 4))
    separate = Elastic(8, 4)(
        Affine(rotation=10)(x, stateless_random.fold_in(example_keys, 0)), stateless_random.fold_in(example_keys, 1)
    ).numpy()
    merged = augment_images(chain, x, example_keys).numpy()
    np.testing.assert_allclose(merged[:, 10:-10, 10:-10], separate[:, 10:-10, 10:-10], atol=0.5)


def test_an_augmentation_used_twice_draws_different_numbers():
    x = images(100)
    twice = augment_images((Flip(), Flip()), x, keys(range(100))).numpy()
    assert not np.array_equal(twice, x)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: Shift(-1), "Shift: max_pixels must be an integer of at least 0, received -1"),
        (lambda: PadCrop(1.5), "PadCrop: padding must be an integer of at least 0, received 1.5"),
        (lambda: Flip("up"), "Flip: direction must be one of 'horizontal', 'vertical', received 'up'"),
        (lambda: Affine(rotation=-5), "Affine: rotation must be a number from 0, received -5"),
        (lambda: Affine(shear=float("nan")), "Affine: shear must be a number from 0, received nan"),
        (lambda: Elastic(sigma=0), "Elastic: sigma must be a number above 0, received 0"),
    ],
)
def test_wrong_arguments_raise(make, text):
    with pytest.raises(ValueError, match=text):
        make()


def test_an_element_that_is_not_an_augmentation_raises():
    with pytest.raises(
        TypeError,
        match=r"(?s)augment\[1\] must be a deepkit.data.Augmentation .*received <RandomFlip.*hint: put Keras's",
    ):
        check_augmentations([Shift(1), keras.layers.RandomFlip()])
    with pytest.raises(TypeError, match="augment must be a list of augmentations, received 3"):
        dk_data.from_arrays(images(), augment=3)


def test_augmentations_need_images():
    with pytest.raises(ValueError, match=r"augmentations need images.*received float32 \(None, 12, 10\)"):
        dk_data.from_arrays(images()[..., 0], augment=[Shift(1)])
    with pytest.raises(ValueError, match="augmentations need images"):
        dk_data.load("iris", augment=[Flip()], verbose=False)


def test_a_user_can_define_an_augmentation():
    class Darker(Augmentation):
        def __call__(self, images, keys):
            return images * (0.75 + 0.25 * stateless_random.uniform(keys, 1)[:, :, None, None])

    data = dk_data.from_arrays(images(), batch_size=64, augment=[Darker(), Flip()])
    assert next(iter(data.train)).shape == (64, 12, 10, 3)
