"""The networks that the docs define after the figures of papers, compared with other implementations."""

from pathlib import Path

import keras
import numpy as np
import pytest

import deepkit as dk
from tests.test_examples import BLOCK, ROOT


@pytest.fixture(scope="module")
def page():
    namespace = {}
    blocks = BLOCK.findall((Path(ROOT) / "docs" / "figures.md").read_text())
    definitions = "\n".join(block for block in blocks if "dk.fit(" not in block)
    statements = [line for line in definitions.splitlines() if not line.startswith(("print", "dk.visualize"))]
    exec("\n".join(statements), namespace)
    return namespace


def test_mobilenet_equals_keras_applications(page):
    model, reference = page["mobilenet"].build((64, 64, 3)), keras.applications.MobileNet((64, 64, 3), weights=None)
    weights = [w.reshape(o.shape) for w, o in zip(reference.get_weights(), model.get_weights(), strict=True)]
    model.set_weights(weights)
    x = np.random.default_rng(0).normal(size=(2, 64, 64, 3)).astype("float32")
    np.testing.assert_allclose(model(x), reference(x), rtol=1e-4, atol=1e-7)


def test_unet_has_the_parameter_count_of_its_formula_and_is_trained_on_pixels(page):
    base, levels, num_classes = 4, 2, 3
    unet = page["unet"](num_classes, base=base, levels=levels)

    def double(inputs, filters):
        return 9 * inputs * filters + filters + 9 * filters * filters + filters

    widths = [base * 2**level for level in range(levels + 1)]
    encoder = sum(double(i, f) for i, f in zip([1, *widths], widths, strict=False))
    decoder = sum(4 * 2 * f * f + f + double(2 * f, f) for f in widths[:-1])
    assert unet.build().count_params() == encoder + decoder + base * num_classes + num_classes
    images = np.random.default_rng(0).normal(size=(8, 16, 16, 1)).astype("float32")
    run = dk.fit(unet, (images, (images[..., 0] > 0).astype("int32")), epochs=1, batch_size=4, verbose=0)
    assert set(run.history) == {"accuracy", "loss"}


@pytest.mark.parametrize("name", ["squeezenet", "mobilenet"])
def test_networks_are_written_to_a_file_and_read_back(page, name, tmp_path):
    dk.dump(page[name], tmp_path / "net.yaml")
    assert dk.load(tmp_path / "net.yaml") == page[name]
