r"""Convolution: few weights for large images, and pooled features, which change less under small shifts.

A fully connected layer has one weight for each pair of an input and a unit: 1.6 billion for an image of 200x200 pixels
and as many units. A convolutional layer connects a unit to a small window of the image, and all units of a feature map
share their weights: 100 maps of 5x5 need 2,500. The layer is a loop over positions, channels and filters:

    $$ a_{i_1 i_2 m} = \sum_c \sum_{j_1, j_2} w_{j_1 j_2 c m} \, x_{i_1 + j_1,\, i_2 + j_2,\, c} $$

If the image is shifted, so is the feature map. Pooling summarizes a window of it by its maximum, its mean, its L2 norm
or a mean whose weights decrease with the distance from the center, so a small shift changes the features less, the
larger the windows and the stride are.

The recipe computes the worked examples of the notes, compares Keras's convolution with the loop, draws what well-known
filters do to a photograph, and measures how much a shift by one pixel changes the pooled features of digits.

    deepkit run convolution
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from keras import layers, ops
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import deepkit as dk
from deepkit.recipe import Claim, Curve, Recipe, Result, Settings, main
from deepkit.visualize.figures import BLUE, GRAY, GREEN, ORANGE, PngFigure, hide_axis_lines
from recipes import papers
from recipes.basics.bands import draw_range

PAPER = papers.GOODFELLOW_2016_CONVOLUTION
PRINTED = {  # by metric: printed value, its setting, and the part of the lecture notes
    "weights, fully connected": (1_600_000_000, "200x200 image, 40,000 units, no biases", "number of parameters"),
    "weights, 100 feature maps": (2_500, "5x5 filters on one channel, no biases", "number of parameters"),
    "1-D output 3": (-1, "filter (1, 0, -1)", "1-d convolution"),
    "2-D output (1, 1)": (4, "5x5 input, 3x3 filter", "2-d convolution"),
    "2-D output (1, 2)": (3, "5x5 input, 3x3 filter", "2-d convolution"),
    "max pooling (1, 1)": (6, "2x2 windows, stride 2", "max pooling"),
    "max pooling (1, 2)": (8, "2x2 windows, stride 2", "max pooling"),
    "max pooling (2, 1)": (3, "2x2 windows, stride 2", "max pooling"),
    "max pooling (2, 2)": (4, "2x2 windows, stride 2", "max pooling"),
}
CLAIMS = (
    *(
        Claim(metric=metric, value=value, setting=setting, where=f"lecture notes, {part}")
        for metric, (value, setting, part) in PRINTED.items()
    ),
    Claim(
        metric="change, max pooling, stride 8",
        value='"approximately invariant to small translations"',
        where="section 9.3",
        setting="pooling in general",
        lower_is_better=True,
    ),
)
DEVIATIONS = (
    "The notes print the first product of the 1-D example as 2 + 0 + 0; it is 1 + 0 + 0 = 1. They do not show the "
    "second, which is 3, and leave the fourth blank; it is -1.",
    "The notes print two of the nine outputs of the 2-D example; all are computed here.",
    "The notes call both formulas convolution. Keras computes sum w[j] x[i+j], without the flipped filter of the "
    "convolution sum f[n] g[x-n]; both are compared here.",
    "Pooling is measured on digits and random filters; the source states the invariance in general. The unit of the "
    "change is strict, because pooling also brings two digits closer to each other.",
)
METRICS = {
    "1-D output 1": "first output of Keras's convolution of (1, 2, 0, -1, 1, 0) with (1, 0, -1); the notes print 2",
    "1-D output 2": "the second output, which the notes do not show",
    "1-D output 3": "the third output",
    "1-D output 4": "the fourth output, which the notes leave blank",
    **{
        f"2-D output ({row}, {column})": "an output of the 5x5 image, which the notes do not show"
        for row in range(1, 4)
        for column in range(1, 4)
    },
    **{metric: "worked example of the lecture notes" for metric in PRINTED if not metric.startswith("1-D")},
    "weights, fully connected": "one weight for each of 40,000 pixels and 40,000 units",
    "weights, 100 feature maps": "weights of the Keras layer",
    "weights, 6 filters": "six 5x5x3 filters with biases, whose output for a 32x32x3 image is 28x28x6",
    "difference, 2-D loop": "largest difference between Keras's convolution with several channels and filters and the "
    "loop; likewise for sequences (1-D) and volumes (3-D)",
    "difference, flipped filter": "largest difference between Keras's convolution with the flipped filter and NumPy's",
    "difference, shifted image": "largest difference between the features of a shifted image and the shifted features",
    "change without pooling": "distance between the features of a digit and of the digit shifted by one pixel, in "
    "units of the distance between two digits",
    "change, max pooling, stride 8": "the same after pooling with 8x8 windows; likewise for the other kinds, and for "
    "a stride of 2",
}

IMAGE = np.array([[1, 1, 1, 0, 0], [0, 1, 1, 1, 0], [0, 0, 1, 1, 1], [0, 0, 1, 1, 0], [0, 1, 1, 0, 0]])
FILTER = np.array([[1, 0, 1], [0, 1, 0], [1, 0, 1]])
POOLING_INPUT = np.array([[1, 1, 2, 4], [5, 6, 7, 8], [3, 2, 1, 0], [1, 2, 3, 4]])
GALLERY = {
    "vertical edges": [[-1, 0, 1], [-1, 0, 1], [-1, 0, 1]],
    "horizontal edges": [[-1, -1, -1], [0, 0, 0], [1, 1, 1]],
    "diagonal edges": [[1, 0, -1], [0, 0, 0], [-1, 0, 1]],
    "Laplacian, 4 neighbors": [[0, 1, 0], [1, -4, 1], [0, 1, 0]],
    "Laplacian, 8 neighbors": [[-1, -1, -1], [-1, 8, -1], [-1, -1, -1]],
    "sharpened": [[0, -1, 0], [-1, 5, -1], [0, -1, 0]],
    "box blur": np.ones((3, 3)) / 9,
    "Gaussian blur": np.outer([1, 2, 1], [1, 2, 1]) / 16,
}
COLUMNS = 3  # of the figure of the photographs
STRIDES = (1, 2, 4, 8)
POOLINGS: dict[str, Callable[[int, int], layers.Layer]] = {
    "max": lambda size, stride: layers.MaxPooling2D(size, strides=stride),
    "average": lambda size, stride: layers.AveragePooling2D(size, strides=stride),
    "L2": lambda size, stride: dk.layers.L2Pooling(size, strides=stride),
    "weighted average": lambda size, stride: dk.layers.WeightedAveragePooling(size, strides=stride),
}
COLORS = dict(zip(POOLINGS, (BLUE, ORANGE, GREEN, GRAY), strict=True))
WINDOWS = {"side by side": 1, "overlapping": 2}  # pool size in units of the stride


@dataclass(frozen=True, kw_only=True)
class Config(Settings):
    """Worked examples, and the change of pooled features under a shift."""

    QUICK = {"seeds": 1, "num_images": 100}

    seeds: int = 3
    """Number of repeats, each with its own random filters."""
    num_images: int = 1000
    """Digits to shift."""
    num_filters: int = 16
    """Random filters of 3x3."""
    devices: int | str = "cpu"
    """Devices to compute on; the filters are too few for a GPU."""


def load_data(config: Config, verbose: bool = True) -> dk.data.Data:
    """Return MNIST, or scikit-learn's digits at the same size if MNIST is not available."""
    return dk.data.load(
        "mnist",
        validation=0,
        image_size=28,
        seed=config.seed,
        num_examples=config.num_images,
        data_dir=config.data_dir,
        fallback="digits",
        verbose=verbose,
    )


def convolve(x: np.ndarray, w: np.ndarray) -> np.ndarray:
    """Return Keras's convolution of one example: a sequence, an image or a volume (spatial..., channels)."""
    return np.asarray(ops.conv(np.asarray(x, float)[None], np.asarray(w, float)))[0]


def convolve_by_loop(x: np.ndarray, w: np.ndarray) -> np.ndarray:
    """Return the same, element by element; the filters are (spatial..., channels, filters)."""
    num_axes, num_filters = w.ndim - 2, w.shape[-1]
    size = tuple(n - k + 1 for n, k in zip(x.shape[:num_axes], w.shape[:num_axes], strict=True))
    output = np.zeros((*size, num_filters))
    for position in np.ndindex(*size):
        for m in range(num_filters):
            for *offset, channel in np.ndindex(*w.shape[:-1]):
                element = tuple(np.add(position, offset))
                output[(*position, m)] += w[(*offset, channel, m)] * x[(*element, channel)]
    return output


def train(config: Config) -> Result:
    """Compute the examples, and measure with the filters of one repeat."""
    rng = np.random.default_rng(config.seed)
    measured = count_weights() | worked_examples() | compare_with_loops(rng) | flip_and_shift(rng)
    data = load_data(config)
    images = np.asarray(data.train.arrays()[0], "float32").reshape(-1, 28, 28, 1)
    changes = shift_changes(images, random_filters(config.num_filters, rng))
    curves = {f"{pooling}, {windows}": Curve(STRIDES, values) for (pooling, windows), values in changes.items()}
    measured["change without pooling"] = changes["max", "side by side"][0]  # windows of one element
    for pooling in POOLINGS:
        for number in (1, -1):
            measured[f"change, {pooling} pooling, stride {STRIDES[number]}"] = changes[pooling, "side by side"][number]
    return Result(measured=measured, data=data.summary(), comparable=data.stand_in_for is None, curves=curves)


def count_weights() -> dict[str, float]:
    """Return the numbers of weights in the notes; the fully connected layer would need 6.4 GB, so it is not built."""
    maps = layers.Conv2D(100, 5, use_bias=False)
    maps.build((None, 200, 200, 1))
    filters = layers.Conv2D(6, 5)
    filters.build((None, 32, 32, 3))
    return {
        "weights, fully connected": float(200 * 200 * 40_000),
        "weights, 100 feature maps": float(maps.count_params()),
        "weights, 6 filters": float(filters.count_params()),
    }


def worked_examples() -> dict[str, float]:
    """Return the outputs of the 1-D, the 2-D and the pooling example of the notes."""
    sequence = convolve(np.array([1, 2, 0, -1, 1, 0])[:, None], np.array([1, 0, -1])[:, None, None])[:, 0]
    image = convolve(IMAGE[..., None], FILTER[..., None, None])[..., 0]
    pooled = np.asarray(layers.MaxPooling2D(2)(POOLING_INPUT[None, ..., None].astype("float32")))[0, ..., 0]
    outputs = {f"1-D output {number}": float(value) for number, value in enumerate(sequence, start=1)}
    for name, values in (("2-D output", image), ("max pooling", pooled)):
        outputs |= {f"{name} ({i + 1}, {j + 1})": float(values[i, j]) for i, j in np.ndindex(*values.shape)}
    return outputs


def compare_with_loops(rng: np.random.Generator) -> dict[str, float]:
    """Compare Keras's convolution with the loop, for one, two and three spatial axes, 3 channels and 4 filters."""
    differences = {}
    for num_axes in (1, 2, 3):
        x, w = rng.normal(size=(*[6] * num_axes, 3)), rng.normal(size=(*[3] * num_axes, 3, 4))
        differences[f"difference, {num_axes}-D loop"] = float(np.max(np.abs(convolve(x, w) - convolve_by_loop(x, w))))
    return differences


def flip_and_shift(rng: np.random.Generator) -> dict[str, float]:
    """Compare the flipped filter with NumPy's convolution, and a shifted image with shifted features."""
    x, w = rng.normal(size=20), rng.normal(size=3)
    flipped = convolve(x[:, None], w[::-1, None, None])[:, 0] - np.convolve(x, w, mode="valid")
    image, filters = rng.normal(size=(12, 12, 1)), rng.normal(size=(3, 3, 1, 4))
    features, shifted = convolve(image, filters), convolve(np.roll(image, 1, axis=1), filters)
    return {
        "difference, flipped filter": float(np.max(np.abs(flipped))),
        "difference, shifted image": float(np.max(np.abs(shifted[:, 1:] - features[:, :-1]))),
    }


def random_filters(num_filters: int, rng: np.random.Generator) -> np.ndarray:
    """Return 3x3 filters for one channel whose weights sum to 0, so they respond to edges."""
    filters = rng.normal(size=(3, 3, 1, num_filters)).astype("float32")
    return filters - filters.mean(axis=(0, 1))


def shift_changes(images: np.ndarray, filters: np.ndarray) -> dict[tuple[str, str], list[float]]:
    """Return the change of pooled features under a shift by one pixel over the stride, by pooling and windows.

    The change is the mean distance between the features of an image and of the shifted image, over the mean distance
    between those of two images: at 1, a shift changes the features as much as another digit does.
    """
    features, shifted = (ops.relu(ops.conv(x, filters)) for x in (images, np.roll(images, 1, axis=2)))
    changes: dict[tuple[str, str], list[float]] = {}
    for pooling, make_layer in POOLINGS.items():
        for windows, factor in WINDOWS.items():
            changes[pooling, windows] = values = []
            for stride in STRIDES:
                layer = make_layer(factor * stride, stride)
                before, after = (np.asarray(layer(x)).reshape(len(images), -1) for x in (features, shifted))
                distances = [np.linalg.norm(x - before, axis=1).mean() for x in (after, np.roll(before, 1, axis=0))]
                values.append(float(distances[0] / distances[1]))
    return changes


def draw_curves(config: Config, results: Sequence[Result]) -> Mapping[str, Figure]:
    """Draw the change under a shift over the stride, for each kind of pooling."""
    figure = PngFigure(figsize=(9, 3.6), layout="constrained")
    for axes, (windows, factor) in zip(figure.subplots(1, 2, sharey=True), WINDOWS.items(), strict=True):
        for pooling, color in COLORS.items():
            name = f"{pooling}, {windows}"
            draw_range(axes, results, name, color=color, marker="o", label=pooling, markersize=4)
        size = "stride" if factor == 1 else f"{factor} x stride"
        axes.set(xscale="log", xlabel="stride (elements)", title=f"windows {windows}: pool size = {size}")
        axes.set_xticks(STRIDES, STRIDES)
        axes.minorticks_off()
        axes.set_ylim(bottom=0)
        axes.grid(alpha=0.25)
    figure.axes[0].set_ylabel("change / distance between two digits")
    figure.axes[0].legend(frameon=False, title="pooling")
    return {"Change of the pooled features if a digit is shifted by one pixel, mean and range over the repeats": figure}


def draw(config: Config, results: Sequence[Result]) -> Mapping[str, Figure]:
    """Draw a photograph, and what the filters of the notes make of it."""
    photograph = load_photograph()
    panels = {"photograph": photograph} | {
        name: convolve(photograph[..., None], np.array(kernel, float)[..., None, None])[..., 0]
        for name, kernel in GALLERY.items()
    }
    num_rows = -(-len(panels) // COLUMNS)
    figure = PngFigure(figsize=(3 * COLUMNS, 2.27 * num_rows), layout="constrained")
    grid = figure.subplots(num_rows, COLUMNS, squeeze=False).flat
    for axes, (name, image) in zip(grid, panels.items(), strict=False):
        draw_panel(axes, name, image)
    for axes in figure.axes[len(panels) :]:
        axes.set_visible(False)
    return {"A photograph filtered by 3x3 filters; gray is 0 for filters that sum to 0": figure}


def load_photograph() -> np.ndarray:
    """Return a part of the photograph that comes with scikit-learn, gray, in [0, 1]."""
    from sklearn.datasets import load_sample_image

    return load_sample_image("china.jpg")[60:300, 200:520].mean(axis=2) / 255


def draw_panel(axes: Axes, name: str, image: np.ndarray) -> None:
    """Draw an image with its name; an edge filter has positive and negative outputs."""
    low = -0.6 if image.min() < -0.6 and abs(image.mean()) < 0.1 else 0
    axes.imshow(image, cmap="gray", vmin=low, vmax=0.6 if low else 1)
    axes.set_title(name)
    hide_axis_lines(axes)


RECIPE = Recipe(
    name="convolution",
    paper=PAPER,
    related=(papers.LECUN_1998,),
    config=Config,
    train=train,
    metrics=METRICS,
    claims=CLAIMS,
    deviations=DEVIATIONS,
    draw=draw,
    draw_curves=draw_curves,
    annotated=(convolve_by_loop, shift_changes),
    exercises=(
        "Shift by three pixels in `shift_changes` in place of one: up to which shift does a stride of 8 help?",
        "Add a 5x5 Gaussian to `GALLERY`. Which two filters in sequence have the same effect?",
    ),
)

if __name__ == "__main__":
    raise SystemExit(main(RECIPE))
