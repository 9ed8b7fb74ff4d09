"""`points`: generated points in the plane and noisy curves, for experiments that take seconds."""

from __future__ import annotations

import dataclasses
import numbers
from typing import TYPE_CHECKING

import numpy as np

from deepkit.data.dataset import Data
from deepkit.data.generated import generated_data, resolve_arguments
from deepkit.data.pipeline_settings import PipelineSettings, check_batch_size, check_seed
from deepkit.data.point_generators import KINDS, Draw, Kind, Points, chebyshev, cloud_normal
from deepkit.data.splits import split_validation
from deepkit.utils.errors import format_value, message
from deepkit.utils.validation import check_choice, check_integer, check_number

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MAX_DEGREE = 100
_MAX_SIZE = 1e30  # of noise and margin: the points and their squares are finite in float32 and float64
_NUM_SHOWN = 500


@dataclasses.dataclass(frozen=True)
class Separator:
    """A line that separates two clouds, and the numbers of the perceptron convergence theorem.

    Reference:
        Novikoff 1962, "On convergence proofs on perceptrons".

    Args:
        weights: Unit vector from the class 0 to the class 1: a point x is of class 1 if and only if w x + b > 0.
        bias: The bias b of the line; 0 for a line through the origin.
        margin: Smallest distance of a training point from the line, gamma in the theorem.
        radius: Largest norm of a training point, R in the theorem.

    Examples:
        >>> import deepkit as dk
        >>> line = dk.data.points("clouds", 100, margin=0.5).separator
        >>> line.margin >= 0.5
        True
        >>> 1 < line.max_updates < 100
        True
    """

    weights: tuple[float, float]
    bias: float
    margin: float
    radius: float

    @property
    def max_updates(self) -> float:
        """The bound of Novikoff 1962 on the updates of a perceptron that begins with zero weights.

        (R / gamma)^2, with the bias as the weight of a constant input of 1, so that R^2 is radius^2 + 1.
        """
        return (self.radius**2 + 1) / self.margin**2


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class PointData(Data):
    """Generated points with their labels, as `deepkit.data.points` returns them; further fields are those of `Data`.

    Args:
        separator: The line that separates the two clouds of the kind `"clouds"`; None for other kinds.
        degree: Degree of the polynomial of the kind `"polynomial"`; None for other kinds.

    Examples:
        >>> import deepkit as dk
        >>> data = dk.data.points("polynomial", 20, degree=3)
        >>> data.degree, data.separator, data.input_shape
        (3, None, (1,))
    """

    separator: Separator | None = None
    degree: int | None = None

    def show(self, num_examples: int = _NUM_SHOWN, *, split: str = "train") -> Figure:
        """Draw points of a split in the colors of their classes, or the points of a curve with the polynomial.

        Args:
            num_examples: Maximum number of points: the first ones of the split.
            split: "train", "validation" or "test".

        Returns:
            A Matplotlib figure.

        Raises:
            ValueError: There is no such split, or `num_examples` is not a positive integer.

        Examples:
            >>> import deepkit as dk
            >>> figure = dk.data.points("spirals", seed=1).show()
            >>> figure.axes[0].get_xlabel()
            'x1'
        """
        from deepkit.visualize.point_figures import curve_figure, points_figure  # imports Matplotlib

        splits = {"train": self.train, "validation": self.validation, "test": self.test}
        names = tuple(name for name, pipeline in splits.items() if pipeline is not None)
        pipeline = splits[check_choice(split, "show: split", names)]
        assert pipeline is not None
        x, y = pipeline.arrays(check_integer(num_examples, "show: num_examples"))
        if self.degree is None:
            return points_figure(x, y, tuple(self.class_names))
        line = np.linspace(-1, 1, 400)
        return curve_figure(x[:, 0], y[:, 0], (line, chebyshev(line, self.degree)))


def points(
    kind: str,
    num_points: int = 1000,
    *,
    seed: int = 0,
    noise: float | None = None,
    margin: float | None = None,
    degree: int | None = None,
    validation: float = 0.0,
    batch_size: int = 32,
) -> PointData:
    """Generate labeled points in the plane, or a noisy curve: `num_points` for training, and as many for a test.

    The kinds of points with two classes, as many of each unless stated otherwise:

    - `"quadrants"`: uniform in [-1, 1]^2; class 1 where the signs of the coordinates differ, as XOR.
    - `"annulus"`: in [-3, 3]^2; class 1 where 1 <= |x| <= 2.
    - `"three_modes"`: in [-2, 2]^2; class 1 in three discs of radius 0.5.
    - `"circle"`: uniform in [-2, 2]^2; class 1 where x1^2 + x2^2 <= 2, which are 39.3 % of the points.
    - `"spirals"`: two interleaved spirals of one and a half turns, with Gaussian noise.
    - `"moons"`: two interleaved half circles, from scikit-learn, with Gaussian noise.
    - `"clouds"`: two discs of radius 1 on either side of a line through the origin, whose direction depends on the
      seed. Every point is at least `margin` from the line; `data.separator` has the line, the margin and the radius.

    And a regression: `"polynomial"`, x uniform in [-1, 1] and y = T(x) plus Gaussian noise, where T is the Chebyshev
    polynomial cos(degree * arccos(x)), the same for every seed.

    The points are a function of the arguments, so that a run on them resumes exactly. The test points are drawn
    independently. NumPy's global random state does not change.

    Args:
        kind: One of the kinds above.
        num_points: Number of training points, and of test points.
        seed: Seed of the points, and of the order of the training.
        noise: Standard deviation of the noise: 0.05 for `"spirals"`, 0.1 for `"moons"` and `"polynomial"` by default.
        margin: Smallest distance of a cloud from the separating line, 0.5 by default.
        degree: Degree of the polynomial, 3 by default.
        validation: Number or fraction of the training points to take for validation, as in `from_arrays`.
        batch_size: Number of points in a batch.

    Returns:
        A `Data` with the names of the classes: x `(batch, 2)` in float32 and labels `(batch,)` in int64; for
        `"polynomial"`, x and y `(batch, 1)` in float32.

    Raises:
        ValueError: The kind is unknown, it does not use an argument, or an argument is out of range.
        TypeError: `validation` is not a number.

    Examples:
        >>> import deepkit as dk
        >>> data = dk.data.points("circle", 2000)
        >>> data.summary()
        'circle (seed 0, numpy.random.default_rng): 2,000 train, 2,000 test'
        >>> data.class_names
        ('outside', 'inside')
    """
    seed, batch_size = check_seed(seed), check_batch_size(batch_size)
    name = check_choice(kind, "points: kind", tuple(KINDS), hint='use dk.data.points("circle")')
    chosen = KINDS[name]
    values = resolve_arguments(
        "points",
        name,
        defaults={other: item.defaults for other, item in KINDS.items()},
        arguments={"noise": noise, "margin": margin, "degree": degree},
        check=_check_argument,
    )
    minimum = max(1, len(chosen.class_names))
    hint = "use num_points=1000"
    num_points = check_integer(num_points, "points: num_points", minimum=minimum, hint=hint)
    train, test = (_draw(chosen, num_points, seed, split, values) for split in range(2))
    splits = {**split_validation(train, validation), "test": test}
    arguments = [f"seed {seed}", *(f"{key} {value:g}" for key, value in values.items()), chosen.generator]
    data = generated_data(
        name,
        ", ".join(arguments),
        splits,
        PipelineSettings(batch_size, seed),
        num_classes=len(chosen.class_names) or None,
        class_names=chosen.class_names,
    )
    fields = {field.name: getattr(data, field.name) for field in dataclasses.fields(data)}
    separator = _separator(train[0], seed) if name == "clouds" else None
    return PointData(**fields, separator=separator, degree=None if "degree" not in values else int(values["degree"]))


def _check_argument(argument: str, value: object) -> float:
    name = f"points: {argument}"
    if argument == "degree":
        return check_integer(value, name, maximum=_MAX_DEGREE, hint="use degree=3")
    if isinstance(value, numbers.Real) and value > _MAX_SIZE:  # type: ignore[operator]
        problem = f"{name} must be at most {_MAX_SIZE:g}, received {format_value(value)}"
        raise ValueError(message(problem, hint="use a number of the order of 1, the scale of the points"))
    if argument == "margin":
        return check_number(value, name, above=0, hint="use margin=0.5")
    return check_number(value, name, minimum=0, hint="use noise=0.1, or 0 for points without noise")


def _draw(kind: Kind, num_points: int, seed: int, split: int, values: dict[str, float]) -> Points:
    """Return the points of a split in the dtypes of the data."""
    rng = np.random.default_rng((seed, split + 1))
    draw = Draw(num_points, rng, _shared_rng(seed), **values)  # type: ignore[arg-type]  # the degree is an integer
    x, y = kind.draw(draw)
    return x.astype("float32"), y.astype("int64" if kind.class_names else "float32")


def _shared_rng(seed: int) -> np.random.Generator:
    """Return the generator of the numbers that all splits share."""
    return np.random.default_rng((seed, 0))


def _separator(x: np.ndarray, seed: int) -> Separator:
    """Return the line between two clouds, with the margin and the radius of the training points."""
    normal = cloud_normal(_shared_rng(seed))
    points = x.astype("float64")
    margin = float(np.abs(points @ normal).min())
    radius = float(np.linalg.norm(points, axis=1).max())
    return Separator((float(normal[0]), float(normal[1])), 0.0, margin, radius)
