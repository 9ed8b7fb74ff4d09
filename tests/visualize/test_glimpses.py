"""The figure of the glimpses: panels, frames, several scales, and errors."""

import numpy as np
import pytest
from matplotlib.patches import Rectangle

import deepkit as dk
from deepkit.models.glimpse_path import GlimpsePath

IMAGES = np.random.default_rng(0).random((3, 10, 12, 1)).astype("float32")


def path(count=3, num_scales=1):
    locations = np.zeros((count, 2, 2))
    locations[:, 1] = 0.5, -0.4
    patches = np.random.default_rng(1).random((count, 2, 4, 4, num_scales))
    logits = np.eye(3)[[[1, 2]] * count]
    return GlimpsePath(locations, patches, logits, tuple(4 * 2**scale for scale in range(num_scales)))


def test_a_row_has_the_image_with_frames_and_the_patches():
    figure = dk.visualize.glimpses(path(), IMAGES, class_names=["a", "b", "$c$"])
    assert len(figure.axes) == 3 * 3
    frames = [item.get_bbox().bounds for item in figure.axes[0].patches if isinstance(item, Rectangle)]
    assert frames == [(3.5, 2.5, 4, 4), (6.5, 0.5, 4, 4)]  # pixel i reaches from i - 0.5 to i + 0.5
    assert [text.get_text() for text in figure.axes[0].texts] == ["1", "2"]
    assert [ax.get_title() for ax in figure.axes[1:3]] == ["1: b", "2: $c$"]
    low, high = IMAGES[0].min(), IMAGES[0].max()
    expected = np.clip((path().patches[0, 1, ..., 0] - low) / (high - low), 0, 1)
    np.testing.assert_allclose(figure.axes[2].images[0].get_array(), expected)


def test_several_scales_are_below_one_another():
    figure = dk.visualize.glimpses(path(1, num_scales=2), IMAGES[0])
    assert figure.axes[1].images[0].get_array().shape == (8, 4)
    assert len(figure.axes[0].patches) == 4


def test_a_model_looks_at_the_images_itself():
    model = dk.RecurrentAttention(3, num_glimpses=2, glimpse_size=4, units=8).build((10, 12, 1))
    images = np.repeat(IMAGES, 4, axis=0)
    figure = dk.visualize.glimpses(model, images)
    assert len(figure.axes) == 8 * 3  # the first 8 images
    frames = dk.visualize.glimpses(model.glimpses(images), images).axes[0].patches
    assert [frame.get_bbox().bounds for frame in frames] == [
        frame.get_bbox().bounds for frame in figure.axes[0].patches
    ]


def test_errors():
    with pytest.raises(ValueError, match="the path has 3 examples, received 2 images") as error:
        dk.visualize.glimpses(path(), IMAGES[:2])
    assert "hint: pass the images of the path" in str(error.value)
    with pytest.raises(ValueError, match=r"expected images .*, received shape \(10, 12\)"):
        dk.visualize.glimpses(path(), IMAGES[0, ..., 0])
    with pytest.raises(TypeError, match=r"expected a model of dk.RecurrentAttention or a GlimpsePath, received 3"):
        dk.visualize.glimpses(3, IMAGES)
