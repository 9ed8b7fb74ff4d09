"""The contract of a recipe: the values that its module declares, and the result of a repeat.

A recipe is a module that reproduces one paper, chapter or lecture. It declares the source, its claims, the deviations
from it, the settings and a training function; `run` repeats the training over seeds and reports measured values beside
claimed ones. Importing this module imports neither TensorFlow nor Keras.
"""

from __future__ import annotations

import dataclasses
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

from deepkit.recipe.curves import Curve
from deepkit.recipe.settings import Settings
from deepkit.utils.display import Displayable
from deepkit.utils.errors import message
from deepkit.utils.validation import check_choice

if TYPE_CHECKING:
    import keras
    from matplotlib.figure import Figure

    from deepkit.data import Data
    from deepkit.definition.sequential import Block
    from deepkit.training.trained_run import Run
    from deepkit.utils.types import Dataset, Shape


@dataclass(frozen=True)
class Paper:
    """The bibliographic reference of a paper, of a chapter of a textbook, or of a lecture.

    Args:
        title: Title as printed.
        authors: Full names in the printed order.
        year: Year of publication.
        venue: Journal with volume and pages, the proceedings, or the publisher; a chapter names its book, a lecture its
            course.
        url: Address of the text; empty if it is not online.
        kind: `"paper"`, `"chapter"` or `"lecture"`.

    Raises:
        ValueError: `kind` is another word.

    Examples:
        >>> from deepkit.recipe import Paper
        >>> Paper(
        ...     "Perceptrons", ("Marvin Minsky", "Seymour Papert"), 1969, "MIT Press"
        ... ).short()
        'Minsky & Papert 1969'
    """

    title: str
    authors: tuple[str, ...]
    year: int
    venue: str
    url: str = ""
    kind: Literal["paper", "chapter", "lecture"] = "paper"

    def __post_init__(self) -> None:
        check_choice(self.kind, "kind", ("paper", "chapter", "lecture"))

    def cite(self) -> str:
        """Return the full reference in one line."""
        text = f"{', '.join(self.authors)} ({self.year}). {self.title}. {self.venue}."
        return f"{text} {self.url}".strip()

    def short(self) -> str:
        """Return surnames and year, for tables."""
        surnames = [author.split()[-1] for author in self.authors]
        authors = f"{surnames[0]} et al." if len(surnames) > 2 else " & ".join(surnames)
        return f"{authors} {self.year}"


@dataclass(frozen=True, kw_only=True)
class Claim:
    """One number that the paper states, and the configs whose results are comparable with it.

    Args:
        metric: Name of the measured metric to compare with, as in `Result.measured`.
        value: The number. A source without a number: a text, which is a quotation in quotation marks, or a summary.
        unit: Unit of the number, such as `"%"`; empty for a plain number; `"runs"` for a metric that is 1 for a
            successful run and 0 for another, which is reported as "13 of 20".
        where: Section, table or page, as the source numbers them.
        setting: The setting in which the paper measured it.
        when: Config fields and the values under which the claim applies; empty for every config.
        lower_is_better: Whether a smaller number is better, as for an error.
        tolerance: Difference up to which a measured value is equal to the number, such as half of its last printed
            digit.
        note: Remark that a reader needs for a fair comparison.

    Examples:
        >>> import deepkit as dk
        >>> claim = dk.recipe.Claim(
        ...     metric="test error",
        ...     value=0.95,
        ...     unit="%",
        ...     where="figure 9",
        ...     setting="LeNet-5 without distortions, 20 epochs",
        ...     when={"distort": False},
        ...     lower_is_better=True,
        ... )
        >>> claim.value, claim.unit
        (0.95, '%')
    """

    metric: str
    value: float | str
    where: str
    setting: str
    unit: str = ""
    when: Mapping[str, Any] = field(default_factory=dict)
    lower_is_better: bool = False
    tolerance: float = 1e-9
    note: str | None = None


@dataclass(frozen=True)
class Deviation:
    """One difference between the recipe and the paper, and the configs to which it applies.

    Args:
        text: The difference, the section, table or page concerned, and the reason.
        when: Config fields and the values under which the deviation applies; empty for every config.

    Examples:
        >>> import deepkit as dk
        >>> deviation = dk.recipe.Deviation(
        ...     "Adam instead of the stochastic diagonal Levenberg-Marquardt of section 3.3",
        ...     when={"optimizer": "adam"},
        ... )
        >>> deviation.when
        {'optimizer': 'adam'}
    """

    text: str
    when: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Result(Displayable):
    """The result of one repeat.

    Args:
        measured: Numbers by metric name, in the order of the report.
        data: Description of the training data, as `Data.summary()` returns it.
        comparable: Whether the training data is that of the paper, and not a stand-in.
        model: The trained model, or None.
        figures: Image files by caption.
        curves: Curves by name, which are recorded with the numbers; `Recipe.draw_curves` draws them.
        notes: Remarks for the reader of the report.
        seconds: Time spent training, over all sessions of a resumed run; None for the wall time of the repeat.

    Examples:
        >>> import deepkit as dk
        >>> dk.recipe.Result(
        ...     measured={"test error": 0.87, "epochs": 20},
        ...     data="mnist 3.0.1: 60,000 train",
        ... )
        <Result test error=0.87, epochs=20; mnist 3.0.1: 60,000 train>
    """

    measured: Mapping[str, float]
    data: str
    comparable: bool = True
    model: keras.Model | None = None
    figures: Mapping[str, Path] = field(default_factory=dict)
    curves: Mapping[str, Curve] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    seconds: float | None = None

    @classmethod
    def of(cls, run: Run, data: Data, measured: Mapping[str, float], *, comparable: bool = True, **fields: Any) -> Self:
        """Return the result of a single training run; it is not comparable if the data stands in for the paper's.

        Args:
            run: The run that `dk.fit` returned.
            data: The data it was trained on.
            measured: Numbers by metric name, in the order of the report.
            comparable: Whether the setting of the run is that of the paper.
            fields: Further fields of the result, such as `figures`, `curves` or `notes`.
        """
        return cls(
            measured=measured,
            data=data.summary(),
            comparable=comparable and data.stand_in_for is None,
            model=run.model,
            seconds=run.seconds,
            **fields,
        )

    def __repr__(self) -> str:
        numbers = ", ".join(f"{name}={value:.4g}" for name, value in self.measured.items())
        return f"<Result {numbers}; {self.data}{'' if self.comparable else '; not comparable'}>"


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """The declarations of a recipe module in one value, which the module keeps as `RECIPE`.

    Args:
        name: Name on the command line, which is that of the entry point.
        paper: The paper, chapter or lecture to reproduce.
        config: Class of the settings.
        train: Function that trains one repeat under a config.
        definition: Function that returns the network of a config, without data; None if there is no single network.
        input_shape: Shape of one example of the network, by name if it has several inputs, or a function of the config.
        metrics: Meaning of each measured number, by metric name.
        claims: Claims of the paper.
        deviations: Differences between recipe and paper, numbered in this order.
        related: Further papers to read.
        exercises: Changes that a reader may try next, and what to look for.
        draw: Function that returns figures by caption, from the config and the results of all repeats.
        draw_curves: Function that returns figures by caption, from the config and the numbers and curves of all
            repeats. It draws a recorded result again without training, so it must not use the models.
        annotated: Functions or classes whose source the recipe's page shows beside notes; by default the definition, or
            the training function of a recipe without a definition.

    Raises:
        ValueError: A claim or a deviation names a field that the config does not have, a claim names a metric that
            `metrics` does not explain, or only one of `definition` and `input_shape` is passed.

    Examples:
        >>> import deepkit as dk
        >>> recipe = dk.recipe.Recipe(
        ...     name="sums",
        ...     paper=dk.recipe.Paper("Sums", ("Ada Lovelace",), 1843, "Notes"),
        ...     config=dk.recipe.Settings,
        ...     train=lambda config: dk.recipe.Result(
        ...         measured={"error": 2.0}, data="none"
        ...     ),
        ...     metrics={"error": "share of wrong sums"},
        ...     definition=lambda config: dk.Regressor(1),
        ...     input_shape=(2,),
        ... )
        >>> recipe.build(recipe.config()).count_params()
        3
    """

    name: str
    paper: Paper
    config: type[Settings]
    train: Callable[[Any], Result]
    metrics: Mapping[str, str]
    definition: Callable[[Any], Block] | None = None
    input_shape: Shape | Mapping[str, Shape] | Callable[[Any], Shape | Mapping[str, Shape]] | None = None
    claims: tuple[Claim, ...] = ()
    deviations: tuple[str | Deviation, ...] = ()
    related: tuple[Paper, ...] = ()
    exercises: tuple[str, ...] = ()
    draw: Callable[[Any, Sequence[Any]], Mapping[str, Figure]] | None = None
    draw_curves: Callable[[Any, Sequence[Any]], Mapping[str, Figure]] | None = None
    annotated: tuple[Callable[..., Any], ...] = ()

    def __post_init__(self) -> None:
        if (self.definition is None) != (self.input_shape is None):
            missing = "definition" if self.definition is None else "input_shape"
            problem = (
                f"recipe {self.name}: expected both definition= and input_shape=, or neither; {missing}= is missing"
            )
            raise ValueError(message(problem, hint=f"add {missing}=, or remove the other"))
        for claim in self.claims:
            self._check_condition("Claim", claim.when)
            if claim.metric not in self.metrics:
                problem = f"recipe {self.name}: the claim about {claim.metric!r} has no explanation in metrics="
                raise ValueError(message(problem, hint=f"add {claim.metric!r} and its meaning to metrics="))
        for deviation in self.deviations:
            if isinstance(deviation, Deviation):
                self._check_condition("Deviation", deviation.when)

    def _check_condition(self, declaration: str, when: Mapping[str, Any]) -> None:
        fields = sorted(field.name for field in dataclasses.fields(self.config))
        unknown = sorted(set(when) - set(fields))
        if unknown:
            problem = f"recipe {self.name}: {declaration}(when=...) names unknown settings {unknown}"
            raise ValueError(message(problem, hint=f"use fields of {self.config.__name__}: {', '.join(fields)}"))

    @property
    def summary(self) -> str:
        """First line of the docstring of the recipe's module; empty for a module without one, such as a notebook."""
        docstring = vars(sys.modules[self.train.__module__]).get("__doc__")  # not that of the class of modules
        return (docstring or "").strip().partition("\n")[0]

    @property
    def annotated_parts(self) -> tuple[Callable[..., Any], ...]:
        """Functions and classes whose source the page of the recipe shows."""
        return self.annotated or (self.definition or self.train,)

    @property
    def units(self) -> dict[str, str]:
        """Units of the metrics by name, from the claims; a metric without a unit is left out."""
        return {claim.metric: claim.unit for claim in self.claims if claim.unit}

    def claims_for(self, config: Settings) -> tuple[Claim, ...]:
        """Return the claims that are comparable with a run under a config.

        Args:
            config: Settings of the run.
        """
        return tuple(claim for claim in self.claims if applies(claim.when, config))

    def deviations_for(self, config: Settings) -> dict[int, str]:
        """Return the deviations that apply to a config, by number; a deviation has the same number in every config.

        Args:
            config: Settings of the run.
        """
        texts = {}
        for number, deviation in enumerate(self.deviations, start=1):
            if isinstance(deviation, str):
                texts[number] = deviation
            elif applies(deviation.when, config):
                texts[number] = deviation.text
        return texts

    def build(self, config: Settings) -> keras.Model:
        """Build the network of a config with new weights, without loading data.

        Args:
            config: Settings of the run.

        Returns:
            A Keras model.

        Raises:
            ValueError: The recipe has no single network.
        """
        definition = self.define(config)
        shape = self.input_shape(config) if callable(self.input_shape) else self.input_shape
        return definition.build(shape)

    def define(self, config: Settings) -> Block:
        """Return the definition of the network of a config.

        Args:
            config: Settings of the run.

        Raises:
            ValueError: The recipe has no single network.
        """
        if self.definition is None:
            problem = f"recipe {self.name} has no single network"
            raise ValueError(message(problem, hint=f"run it: deepkit run {self.name}"))
        return self.definition(config)


def parameters(model: keras.Model) -> float:
    """Return the number of trainable weights of a model, as a float for `Result.measured`.

    Args:
        model: A built Keras model.

    Examples:
        >>> import deepkit as dk
        >>> dk.recipe.parameters(dk.Classifier(10).build((784,)))
        7850.0
    """
    return float(sum(math.prod(weight.shape) for weight in model.trainable_weights))


def error(model: keras.Model, dataset: Dataset) -> float:
    """Return the share of misclassified examples, in percent.

    Args:
        model: A model compiled with the metric `accuracy`, such as the model of a run.
        dataset: Batches (x, y), such as `data.test`.

    Raises:
        KeyError: The model has no metric `accuracy`.

    Examples:
        >>> import numpy as np, deepkit as dk
        >>> data = dk.data.from_arrays(
        ...     np.eye(4, dtype="float32"), np.array([0, 0, 0, 1])
        ... )
        >>> model = dk.Classifier(2).build((4,))
        >>> model.set_weights(
        ...     [np.zeros((4, 2)), np.array([1.0, 0.0])]
        ... )  # always class 0
        >>> model.compile(loss=dk.losses.MulticlassHinge(), metrics=["accuracy"])
        >>> dk.recipe.error(model, data.train)
        25.0
    """
    return 100 * (1 - model.evaluate(dataset, verbose=0, return_dict=True)["accuracy"])


def applies(when: Mapping[str, Any], config: Settings) -> bool:
    """Return whether a config has the value of each setting that a claim or a deviation names.

    Args:
        when: Settings and their values, such as `Claim.when`; empty for every config.
        config: Settings of a run.

    Raises:
        AttributeError: The config has no setting of a name.

    Examples:
        >>> import deepkit as dk
        >>> config = dk.recipe.Settings(epochs=20, seed=1)
        >>> dk.recipe.applies({"epochs": 20}, config), dk.recipe.applies({}, config)
        (True, True)
        >>> dk.recipe.applies({"epochs": 10}, config)
        False
    """
    return all(getattr(config, name) == value for name, value in when.items())
