r"""Linear autoencoder: without activations, a code of 30 units spans the space of the first 30 principal components.

An autoencoder without activations projects its input onto a subspace. Baldi & Hornik (1989) prove that its squared
error has one minimum, up to the basis of the code: the subspace of the first principal components. Every other critical
point is a saddle. So a training that reaches the minimum finds the result of a principal component analysis (PCA) by
gradients alone: the largest angle between the two subspaces is 0, and the reconstructions of the test digits have the
error of PCA with 30 components, which Hinton & Salakhutdinov (2006) report as 13.87 for each image.

The units themselves are not the components: any invertible change of the code leaves the reconstruction unchanged. The
30th component has hardly more variance than the 31st, 0.364 and 0.347, so that an angle of 0.001 needs a long training
with all images in every step, and an optimizer that moves in all directions of a matrix equally fast (Muon).

    $$ \min_{W, V} \; \mathbb{E}_x \lVert x - V W x \rVert^2, \qquad V W = U_{30} U_{30}^\top $$

    deepkit run linear_autoencoder
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import keras
import numpy as np
from keras import layers
from matplotlib.figure import Figure

import deepkit as dk
from deepkit.recipe import Claim, Curve, Deviation, Recipe, Result, Settings, main, parameters
from deepkit.visualize.figures import BLUE, PngFigure, hide_axis_lines, subplots
from recipes import papers
from recipes.basics.bands import draw_range, finish
from recipes.generative.code_evaluation import as_rows, squared_errors

PAPER = papers.BALDI_1989
CLAIMS = (
    Claim(
        metric="largest angle",
        value=0.0,
        unit="rad",
        where="fact 4",
        setting="any data with different variances of the components",
        lower_is_better=True,
        tolerance=1e-3,
    ),
    Claim(
        metric="test error, autoencoder",
        value=13.87,
        where="Hinton & Salakhutdinov 2006, figure 2B",
        setting="MNIST, PCA with 30 components",
        lower_is_better=True,
        tolerance=0.1,
    ),
)
DEVIATIONS = (
    "An experiment; the paper proves a theorem.",
    "The mean image is subtracted before the training, as in a PCA, so that the layers need no biases.",
    "The settings were chosen by the angle for the training images; there are no validation images.",
    Deviation("Muon with all images in every step; the theorem is independent of the training.", {"units": 30}),
)
METRICS = {
    "largest angle": "largest of the principal angles between the space that the decoder spans and that of the first "
    "principal components of the training images, as scikit-learn computes them, in radians",
    "test error, autoencoder": "squared error of a test image, summed over its pixels from 0 to 1",
    "test error, PCA": "the same for the projection onto the principal components",
    "training error above PCA": "the same for the training images, minus the error of the principal components, which "
    "is the smallest possible one",
    "parameters": "trainable weights",
}
NUM_PIXELS = 28 * 28
NUM_DRAWN = 10


@dataclass(frozen=True, kw_only=True)
class Config(Settings):
    """A code of 30 units, as in figure 2B of Hinton & Salakhutdinov (2006)."""

    QUICK = {"seeds": 1, "epochs": 20, "units": 5}

    epochs: int = 300
    """Epochs of one step on all training images."""
    units: int = 30
    """Units of the code, and number of principal components."""
    learning_rate: float = 0.15
    """Initial learning rate of Muon, the norm of a step along each direction of a matrix; it follows half a cosine."""
    momentum: float = 0.9
    """Momentum of Muon."""


@dataclass(frozen=True)
class Images:
    """Training and test images without the mean of the training images, `(images, 28, 28, 1)` in float32."""

    train: np.ndarray
    test: np.ndarray
    mean: np.ndarray
    data: dk.data.Data


def load_images(config: Config, verbose: bool = True) -> Images:
    """Return the images of MNIST, or scikit-learn's digits at the same size if it is not available."""
    data = dk.data.load(
        "mnist",
        validation=0,
        image_size=28,
        seed=config.seed,
        num_examples=config.max_examples,
        data_dir=config.data_dir,
        fallback="digits",
        verbose=verbose,
    )
    train, test = data.train.arrays()[0], data.test.arrays()[0]
    mean = train.mean(axis=0, dtype="float64").astype("float32")
    return Images(train - mean, test - mean, mean, data)


def definition(config: Config) -> dk.Autoencoder:
    """Return the autoencoder: 47,040 weights with 30 units. The columns of the encoder and the rows of the decoder."""
    return dk.Autoencoder(
        dk.MLP([config.units], activation=None, dense={"use_bias": False}),
        decoder=layers.Dense(NUM_PIXELS, use_bias=False),
        name="linear_autoencoder",
    )


def train(config: Config) -> Result:
    """Train the autoencoder, and compare its subspace and its reconstructions with those of a PCA."""
    images = load_images(config)
    data = dk.data.from_arrays(images.train, batch_size=len(images.train), shuffle=False, seed=config.seed)
    run = config.fit(
        definition(config),
        data,
        optimizer=keras.optimizers.Muon(weight_decay=None, momentum=config.momentum, rms_rate=None),
        learning_rate=dk.OneCycle(config.learning_rate, warmup_fraction=0.0),
        metrics=[],
        verbose=0,
    )
    components = principal_components(images.train, config.units)
    encoder, decoder = weights(run.model)
    angles = principal_angles(decoder, components)
    smallest = project(images.train, components.T, components)
    measured = {
        "largest angle": float(angles.max()),
        "test error, autoencoder": project(images.test, encoder, decoder),
        "test error, PCA": project(images.test, components.T, components),
        "training error above PCA": project(images.train, encoder, decoder) - smallest,
        "parameters": parameters(run.model),
    }
    above = NUM_PIXELS * np.array(run.history["loss"]) - smallest
    curves = {
        "angles": Curve(range(1, config.units + 1), angles.tolist()),
        "error above PCA": Curve(range(len(above)), above.tolist()),
    }
    return Result(
        measured=measured,
        data=images.data.summary(),
        comparable=images.data.stand_in_for is None,
        model=run.model,
        curves=curves,
        seconds=run.seconds,
    )


def weights(model: keras.Model) -> tuple[np.ndarray, np.ndarray]:
    """Return the encoder `(pixels, units)` and the decoder `(units, pixels)` in float64."""
    encoder, decoder = (np.asarray(values, "float64") for values in model.get_weights())
    return encoder, decoder


def principal_components(x: np.ndarray, count: int) -> np.ndarray:
    """Return the directions of the largest variance, `(count, pixels)`, orthonormal and in decreasing order."""
    from sklearn.decomposition import PCA

    return np.asarray(PCA(count, svd_solver="covariance_eigh").fit(as_rows(x)).components_)


def principal_angles(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the principal angles between the spaces that the rows of two matrices span, in increasing order.

    The sines of the angles are the singular values of the part of one orthonormal basis that the other space lacks;
    unlike their cosines they are accurate for small angles.
    """
    first, second = (np.linalg.qr(rows.T)[0] for rows in (a, b))
    missing = first - second @ (second.T @ first)
    return np.arcsin(np.minimum(np.linalg.svd(missing, compute_uv=False), 1))[::-1]


def project(x: np.ndarray, encoder: np.ndarray, decoder: np.ndarray) -> float:
    """Return the mean squared error of images that a linear encoder and decoder reconstruct, summed over the pixels."""
    return float(squared_errors(x, as_rows(x) @ encoder @ decoder).mean())


def draw_curves(config: Config, results: Sequence[Result]) -> Mapping[str, Figure]:
    """Draw the error over the training, and the principal angles at its end."""
    figure = PngFigure(figsize=(8.4, 3.4), layout="constrained")
    left, right = figure.subplots(1, 2)
    draw_range(left, results, "error above PCA", color=BLUE)
    finish(left, yscale="log", xlabel="step", ylabel="training error above that of PCA")
    draw_range(right, results, "angles", color=BLUE, marker=".")
    right.axhline(1e-3, color="black", linewidth=0.8, linestyle=":", label="0.001")
    finish(right, yscale="log", xlabel="principal angle", ylabel="angle (radians)")
    return {"Training error above the smallest possible one, and angles between the two subspaces": figure}


def draw(config: Config, results: Sequence[Result]) -> Mapping[str, Figure]:
    """Draw principal components beside the learned weights, and reconstructions."""
    images, model = load_images(config, verbose=False), results[0].model
    components = principal_components(images.train, config.units)
    encoder, decoder = weights(model)
    basis = np.linalg.qr(decoder.T)[0]
    count = min(NUM_DRAWN, config.units)
    rows = {
        "principal\ncomponents": components[:count],
        "weights of\nthe decoder": decoder[:count],
        "components,\nprojected onto\nthe weights": components[:count] @ basis @ basis.T,
    }
    x = as_rows(images.test[:NUM_DRAWN])
    digits = {"test images": x, "PCA": x @ components.T @ components, "autoencoder": x @ encoder @ decoder}
    shown = {name: values + images.mean.reshape(1, -1) for name, values in digits.items()}
    return {
        "The first principal components, weights of as many units, and the components within the space of all units": (
            draw_rows(rows, signed=True)
        ),
        "Test images and their reconstructions": draw_rows(shown, signed=False),
    }


def draw_rows(rows: Mapping[str, np.ndarray], *, signed: bool) -> Figure:
    """Draw a row of images for each name; signed values in red and blue, each image in its own scale."""
    columns = len(next(iter(rows.values())))
    figure, axes = subplots(len(rows), columns, 0.8, 0.85)
    for line, (name, values) in zip(axes, rows.items(), strict=True):
        for ax, image in zip(line, values.reshape(-1, 28, 28), strict=True):
            limit = np.abs(image).max()
            style = {"cmap": "RdBu_r", "vmin": -limit, "vmax": limit} if signed else {"cmap": "gray_r", "clim": (0, 1)}
            hide_axis_lines(ax).imshow(image, **style)
        line[0].set_ylabel(name, rotation=0, ha="right", va="center", fontsize=8)
    return figure


RECIPE = Recipe(
    name="linear_autoencoder",
    paper=PAPER,
    related=(papers.HINTON_2006,),
    config=Config,
    train=train,
    definition=definition,
    input_shape=(28, 28, 1),
    metrics=METRICS,
    claims=CLAIMS,
    deviations=DEVIATIONS,
    draw=draw,
    draw_curves=draw_curves,
    annotated=(definition, principal_angles),
    exercises=(
        "Replace Muon by Adam with a learning rate of 0.02. How many steps does it need for the same angle?",
        "Compute the angles of the encoder in place of the decoder. Why are they large, although the error is that of "
        "PCA? Look at the pixels that are black in all images.",
        "Which units do you get with `tied_weights=True` and no `decoder=`: the components, or another basis?",
    ),
)

if __name__ == "__main__":
    raise SystemExit(main(RECIPE))
