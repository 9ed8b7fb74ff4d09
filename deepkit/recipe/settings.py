"""Settings of a recipe: a frozen dataclass whose fields are the flags of `deepkit run`.

Importing this module imports neither TensorFlow nor Keras.
"""

from __future__ import annotations

import dataclasses
import json
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from deepkit.utils.validation import check_choice, check_integer

if TYPE_CHECKING:
    import keras

    from deepkit.definition.sequential import Block
    from deepkit.execution.plan import Plan
    from deepkit.training.trained_run import Run

AUTOTUNE_ARGUMENTS = ("loss", "optimizer", "learning_rate", "metrics", "loss_weights", "batch_size")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Settings that every recipe has; the `Config` of a recipe adds its own.

    Every field is a flag of `deepkit run`, and its docstring is the help of the flag. A subclass is a frozen,
    keyword-only dataclass too, and lists in `QUICK` the values of a smoke run that takes seconds. A field whose
    default follows from other settings is declared as `width: int | None = None`, and `resolve_defaults` returns
    its value.

    Raises:
        ValueError: A `Literal` field is not one of its choices, or a count is out of range.

    Examples:
        >>> from deepkit.recipe import Settings
        >>> Settings.smoke(seed=3)
        Settings(seed=3, seeds=1, epochs=1, quick=True, run_dir=None, ...)
    """

    QUICK: ClassVar[Mapping[str, Any]] = {"seeds": 1, "epochs": 1}
    QUICK_EXAMPLES: ClassVar[int] = 1_000  # of each split of the data in a smoke run

    seed: int = 0
    """Seed of the first repeat; each further repeat adds one."""
    seeds: int = 1
    """Number of repeats to train, each with its own seed."""
    epochs: int = 1
    """Epochs of training."""
    quick: bool = False
    """A smoke run of a few seconds, to test that everything works; not a result."""
    run_dir: Path | None = None
    """Folder for checkpoints and reports (seed0, seed1, ...); the same command resumes an interrupted run."""
    data_dir: Path | None = None
    """Folder of prepared TFDS datasets; by default TFDS_DATA_DIR, or the default folder of TFDS."""
    record: Path | None = None
    """Results file to merge the measured numbers into; by default nothing is recorded."""
    precision: str = "auto"
    """Precision: auto, float32, mixed_bfloat16 or mixed_float16."""
    devices: int | str = "auto"
    """Devices to train on: auto, cpu, gpu or a number of devices."""
    jit_compile: bool | Literal["auto"] = "auto"
    """Whether XLA compiles the training step."""
    autotune: bool = False
    """Time precision, XLA and steps per execution before training, and keep the fastest with the same loss."""

    def __post_init__(self) -> None:
        for name, choices in _choices_by_field(type(self)).items():
            check_choice(getattr(self, name), name, choices)
        for name, value in self.resolve_defaults().items():
            if getattr(self, name) is None:
                object.__setattr__(self, name, value)
        for name, minimum in (("seed", 0), ("seeds", 1), ("epochs", 1)):
            object.__setattr__(self, name, check_integer(getattr(self, name), name, minimum=minimum))

    def resolve_defaults(self) -> Mapping[str, Any]:
        """Return the value of each field whose default follows from other settings.

        Fields that the user has set keep their value. The choices of `Literal` fields are validated before the call.

        Examples:
            >>> from dataclasses import dataclass
            >>> import deepkit as dk
            >>> @dataclass(frozen=True, kw_only=True)
            ... class Config(dk.recipe.Settings):
            ...     deep: bool = False
            ...     width: int | None = None
            ...
            ...     def resolve_defaults(self):
            ...         return {"width": 16 if self.deep else 64}
            >>> Config().width, Config(deep=True).width, Config(deep=True, width=8).width
            (64, 16, 8)
        """
        return {}

    @classmethod
    def smoke(cls, **settings: Any) -> Self:
        """Return the config of a smoke run: these settings, else those of `QUICK`, else the defaults.

        Args:
            settings: Settings by name.

        Raises:
            ValueError: A setting is not one of its choices, or out of range.
            TypeError: A setting does not exist.
        """
        return cls(**{**cls.QUICK, **settings, "quick": True})

    @property
    def max_examples(self) -> int | None:
        """Largest number of examples of each split to read: `QUICK_EXAMPLES` in a smoke run, otherwise None for all."""
        return self.QUICK_EXAMPLES if self.quick else None

    def repeats(self) -> list[Self]:
        """Return the config of each repeat, with its own seed and its own folder in `run_dir`."""
        configs = []
        for seed in range(self.seed, self.seed + self.seeds):
            run_dir = self.run_dir / f"seed{seed}" if self.run_dir else None
            configs.append(dataclasses.replace(self, seed=seed, seeds=1, run_dir=run_dir))
        return configs

    def plan(self) -> Plan:
        """Return the execution plan under these settings; the plan resolves `"auto"`."""
        from deepkit.execution.plan import plan

        return plan(devices=self.devices, precision=self.precision, jit_compile=self.jit_compile, seed=self.seed)

    def fit(self, net: Block | keras.Model, data: Any, **arguments: Any) -> Run:
        """Train a network with `dk.fit` for the epochs, in the run directory and under the plan of these settings.

        With `autotune`, `dk.autotune` first chooses the fastest plan.

        Args:
            net: A definition or a compiled model, as for `dk.fit`.
            data: The training data, as for `dk.fit`.
            **arguments: Further arguments of `dk.fit`; `epochs`, `run_dir` and `plan` replace those of the settings.

        Returns:
            The run.

        Raises:
            ValueError: The arguments do not fit; see `dk.fit`.
        """
        import deepkit as dk

        arguments = {"epochs": self.epochs, "run_dir": self.run_dir, **arguments}
        if "plan" not in arguments:
            arguments["plan"] = self._tuned_plan(net, data, arguments) if self.autotune else self.plan()
        return dk.fit(net, data, **arguments)

    def finished_seconds(self) -> float | None:
        """Return the seconds of all finished runs in the run directory, with those before an interruption.

        A recipe with several trainings records it. None without a run directory.
        """
        if self.run_dir is None:
            return None
        return sum(json.loads(path.read_text())["seconds"] for path in self.run_dir.rglob("result.json"))

    def _tuned_plan(self, net: Block | keras.Model, data: Any, arguments: Mapping[str, Any]) -> Plan:
        import deepkit as dk

        compile_arguments = {name: arguments[name] for name in AUTOTUNE_ARGUMENTS if name in arguments}
        return dk.autotune(net, data, plan=self.plan(), run_dir=arguments["run_dir"], **compile_arguments)


def _choices_by_field(config: type[Settings]) -> dict[str, tuple[object, ...]]:
    """Return the allowed values of each field whose type lists them."""
    annotations = typing.get_type_hints(config)
    choices = {field.name: _choices_of(annotations[field.name]) for field in dataclasses.fields(config)}
    return {name: values for name, values in choices.items() if values}


def _choices_of(annotation: object) -> tuple[object, ...]:
    """Return the values of `bool`, `None`, a `Literal` or a union of these; empty for other types."""
    if annotation is bool:
        return (True, False)
    if annotation is type(None):
        return (None,)
    if typing.get_origin(annotation) is Literal:
        return typing.get_args(annotation)
    if typing.get_origin(annotation) not in (typing.Union, types.UnionType):
        return ()
    values: list[object] = []
    for member in typing.get_args(annotation):
        choices = _choices_of(member)
        if not choices:
            return ()
        values.extend(choices)
    return tuple(values)
