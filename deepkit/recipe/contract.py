"""The contract of a recipe: what its module declares, and how it is run and reported.

A recipe is one module that reproduces one paper. It declares the paper, what the paper claims, where the recipe
deviates from it, its settings and how to train; `run` repeats the training over seeds and sets the measured
beside the claimed. Importing this module imports neither TensorFlow nor Keras.
"""

from __future__ import annotations

import dataclasses
import difflib
import math
import sys
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Optional, Self, TypeVar

if TYPE_CHECKING:
    import keras
    from matplotlib.figure import Figure

    from deepkit.data import Data
    from deepkit.definition.sequential import Block
    from deepkit.execution.plan import Plan
    from deepkit.training.fit import Run

Shape = tuple[int | None, ...]

T = TypeVar("T")
if TYPE_CHECKING:
    Own = Annotated[T, "never None once the config is made"]
else:
    Own = Optional
OWN: Any = None
"""Default of a field of type `Own[...]`: what `Settings.own` says, where nothing is given."""


@dataclass(frozen=True)
class Paper:
    """What is reproduced: enough to find it, and to cite it.

    Args:
        title: As printed.
        authors: Full names in the printed order.
        year: Of publication.
        venue: Journal with volume and pages, or the proceedings, or the publisher.
        url: Where it can be read; empty where it cannot.

    >>> Paper("Perceptrons", ("Marvin Minsky", "Seymour Papert"), 1969, "MIT Press").short()
    'Minsky & Papert 1969'
    """

    title: str
    authors: tuple[str, ...]
    year: int
    venue: str
    url: str = ""

    def cite(self) -> str:
        """Return the reference in one line."""
        text = f"{', '.join(self.authors)} ({self.year}). {self.title}. {self.venue}."
        return f"{text} {self.url}".strip()

    def short(self) -> str:
        """Return surnames and year: what a table has room for."""
        names = [author.split()[-1] for author in self.authors]
        who = f"{names[0]} et al." if len(names) > 2 else " & ".join(names)
        return f"{who} {self.year}"


@dataclass(frozen=True, kw_only=True)
class Claim:
    """One number that the paper states, and the configs it may be compared with.

    Args:
        metric: Name of the measured number that stands beside it, as in `Result.measured`.
        value: The number; or the paper's words, where it gives none.
        unit: Of the number, such as `"%"`; empty for a plain number.
        where: Section, table or page, as the source numbers them.
        setting: What the paper measured it on, in a few words.
        when: Config fields and the values under which the claim applies; empty for always.
        lower_is_better: Whether a smaller number is the better one, as for an error.
        note: Anything a reader must know to compare fairly.
    """

    metric: str
    value: float | str
    where: str
    setting: str
    unit: str = ""
    when: Mapping[str, Any] = field(default_factory=dict)
    lower_is_better: bool = False
    note: str | None = None


@dataclass(frozen=True)
class Deviation:
    """One way in which the recipe is not the paper, and the configs for which that is so.

    Args:
        text: What differs, from which section, table or page, and why.
        when: Config fields and the values under which it applies; empty for always.
    """

    text: str
    when: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What every recipe can be told; a recipe's `Config` adds the paper's own settings.

    Every field is a flag of `deepkit run`, its docstring the flag's help. A subclass is a frozen, keyword-only
    dataclass too, and names in `QUICK` the values that make a smoke run of seconds. A value that follows from another
    setting is a field `epochs: Own[int] = OWN`, and `own` says what it is.

    Raises:
        ValueError: A `Literal` field is none of its choices, or a count is out of range.

    >>> Settings.smoke(seed=3)
    Settings(seed=3, seeds=1, epochs=1, quick=True, run_dir=None, ...)
    """

    QUICK: ClassVar[Mapping[str, Any]] = {"seeds": 1, "epochs": 1}

    seed: int = 0
    """Seed of the first repeat; the next ones count up from it."""
    seeds: int = 1
    """How many repeats to train, each with its own seed."""
    epochs: int = 1
    """Passes over the training data."""
    quick: bool = False
    """A smoke run of seconds, to see that everything works; not a result."""
    run_dir: Path | None = None
    """Folder to keep each repeat in (seed0, seed1, ...); the same command goes on where it stopped."""
    data_dir: Path | None = None
    """Folder of prepared TensorFlow data sets; TFDS_DATA_DIR or the TFDS default where not given."""
    record: Path | None = None
    """Results file to merge the measured numbers into; nothing is recorded where not given."""
    precision: str = "auto"
    """Arithmetic: auto, float32, mixed_bfloat16 or mixed_float16."""
    devices: int | str = "auto"
    """Devices to train on: auto, cpu, gpu or how many."""
    jit_compile: bool | Literal["auto"] = "auto"
    """Whether XLA compiles the training step."""
    measure: bool = False
    """Time precision, XLA and steps per call before training, and keep the fastest with the same loss."""

    def __post_init__(self) -> None:
        for name, known in _choices(type(self)).items():
            _check_choice(name, getattr(self, name), known)
        for name, value in self.own().items():
            if getattr(self, name) is None:
                object.__setattr__(self, name, value)
        for name, least in (("seed", 0), ("seeds", 1), ("epochs", 1)):
            value = getattr(self, name)
            if not isinstance(value, int) or value < least:
                raise ValueError(f"{name} must be a whole number of at least {least}, received {value!r}")

    def own(self) -> Mapping[str, Any]:
        """Return the value of each field that is `OWN`; called once the choices are known to be right."""
        return {}

    @classmethod
    def smoke(cls, **given: Any) -> Self:
        """Return the config of a smoke run: `QUICK` wherever nothing is given."""
        return cls(**{**cls.QUICK, **given, "quick": True})

    def repeats(self) -> list[Self]:
        """Return the config of each repeat: its own seed and, where there is one, its own run folder."""
        seeds = range(self.seed, self.seed + self.seeds)
        folders = [self.run_dir / f"seed{seed}" if self.run_dir else None for seed in seeds]
        return [
            dataclasses.replace(self, seed=seed, seeds=1, run_dir=folder)
            for seed, folder in zip(seeds, folders, strict=True)
        ]

    def plan(self) -> Plan:
        """Return the execution plan under these settings: what is "auto" is decided by the plan."""
        from deepkit.execution.plan import plan

        return plan(
            devices=self.devices,
            precision=self.precision,
            jit_compile=self.jit_compile,
            seed=self.seed,
            measure=self.measure,
        )


@dataclass(frozen=True, kw_only=True)
class Result:
    """What one repeat brought.

    Args:
        measured: Numbers by metric name, in the order in which to show them.
        data: What it was trained on, in words: `Data.summary()`.
        comparable: False when the data only stands in for the paper's.
        model: The trained model, or None.
        pictures: Image files by caption.
        notes: What a reader of the result should know.
        seconds: Time spent training, over all sessions of a resumed run; the wall time where None.
    """

    measured: Mapping[str, float]
    data: str
    comparable: bool = True
    model: keras.Model | None = None
    pictures: Mapping[str, Path] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    seconds: float | None = None

    @classmethod
    def of(
        cls, run: Run, data: Data, measured: Mapping[str, float], *, comparable: bool = True, **further: Any
    ) -> Self:
        """Return the outcome of a single training; with data that stands in for the paper's it is not comparable."""
        return cls(
            measured=measured,
            data=data.summary(),
            comparable=comparable and data.stand_in_for is None,
            model=run.model,
            seconds=run.seconds,
            **further,
        )


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Everything that a recipe module declares, in one value; the module keeps it as `RECIPE`.

    Args:
        name: What it is called on the command line; the name of its entry point.
        paper: The paper that is reproduced.
        config: The class of its settings.
        train: Trains one repeat under a config.
        definition: Returns the network of a config, without data.
        input_shape: Of one example, or a function of the config.
        metrics: What each measured number means, by metric name.
        claims: What the paper states.
        deviations: How the recipe differs from the paper; numbered in this order.
        related: Further papers to read.
        draw: Returns figures by caption, from the config and the outcomes of all repeats.

    Raises:
        ValueError: If a claim or a deviation names a field that the config does not have, or a claim a metric
            that `metrics` does not explain.
    """

    name: str
    paper: Paper
    config: type[Settings]
    train: Callable[[Any], Result]
    definition: Callable[[Any], Block]
    input_shape: Shape | Callable[[Any], Shape]
    metrics: Mapping[str, str]
    claims: tuple[Claim, ...] = ()
    deviations: tuple[str | Deviation, ...] = ()
    related: tuple[Paper, ...] = ()
    draw: Callable[[Any, Sequence[Result]], Mapping[str, Figure]] | None = None

    def __post_init__(self) -> None:
        fields = {f.name for f in dataclasses.fields(self.config)}
        deviations = [d for d in self.deviations if isinstance(d, Deviation)]
        parts: list[Claim | Deviation] = [*self.claims, *deviations]
        for part in parts:
            unknown = sorted(set(part.when) - fields)
            if unknown:
                raise ValueError(
                    f"recipe {self.name}: {type(part).__name__}(when=...) names {unknown}, "
                    f"but {self.config.__name__} has only {sorted(fields)}"
                )
        unexplained = sorted({claim.metric for claim in self.claims} - set(self.metrics))
        if unexplained:
            raise ValueError(f"recipe {self.name}: metrics= must say what {unexplained} mean")

    @property
    def summary(self) -> str:
        """The first line of its module's docstring."""
        return (sys.modules[self.train.__module__].__doc__ or "").strip().partition("\n")[0]

    @property
    def units(self) -> dict[str, str]:
        """Unit by the name of a metric, as its claims have it, for those that have one."""
        return {claim.metric: claim.unit for claim in self.claims if claim.unit}

    def claims_for(self, config: Settings) -> tuple[Claim, ...]:
        """Return the claims that a run under `config` may be compared with."""
        return tuple(claim for claim in self.claims if applies(claim.when, config))

    def deviations_for(self, config: Settings) -> dict[int, str]:
        """Return the deviations of `config` by their number, which is the same for every config."""
        every = [Deviation(d) if isinstance(d, str) else d for d in self.deviations]
        return {n: d.text for n, d in enumerate(every, start=1) if applies(d.when, config)}

    def build(self, config: Settings) -> keras.Model:
        """Return the network of `config`, freshly initialised, without touching any data."""
        shape = self.input_shape(config) if callable(self.input_shape) else self.input_shape
        return self.definition(config).build(shape)


def _choices_of(annotation: Any) -> tuple[Any, ...]:
    """Return the values of a type that has a few; none where they cannot be listed."""
    if annotation in (bool, type(None)):
        return (True, False) if annotation is bool else (None,)
    if typing.get_origin(annotation) is Literal:
        return typing.get_args(annotation)
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        parts = [_choices_of(part) for part in typing.get_args(annotation)]
        return tuple(value for part in parts for value in part) if all(parts) else ()
    return ()


def _choices(kind: type[Settings]) -> Mapping[str, tuple[Any, ...]]:
    hints = typing.get_type_hints(kind)
    every = {f.name: _choices_of(hints[f.name]) for f in dataclasses.fields(kind)}
    return {name: known for name, known in every.items() if known}


def _check_choice(name: str, value: Any, known: tuple[Any, ...]) -> None:
    if value not in known:
        near = difflib.get_close_matches(str(value), [item for item in known if isinstance(item, str)], n=1)
        meant = f"; did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"{name} must be one of {', '.join(map(repr, known))}, received {value!r}{meant}")


def parameters(model: keras.Model) -> float:
    """Return how many trainable weights a model has, as `Result.measured` takes it."""
    return float(sum(math.prod(weight.shape) for weight in model.trainable_weights))


def error(model: keras.Model, part: Any) -> float:
    """Return the share of a part of the data that is given the wrong class, in percent."""
    return 100 * (1 - model.evaluate(part, verbose=0, return_dict=True)["accuracy"])


def applies(when: Mapping[str, Any], config: Settings) -> bool:
    """Return whether `config` has the value that `when` gives for each field it names."""
    return all(getattr(config, name) == value for name, value in when.items())
