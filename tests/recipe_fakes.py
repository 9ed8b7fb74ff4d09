"""A recipe that trains nothing, and the entry point that finds it."""

from __future__ import annotations

import sys
import types
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

from matplotlib.figure import Figure

from deepkit.recipe import Claim, Deviation, Paper, Recipe, Result, Settings

PAPER = Paper("A Title", ("Ada Lovelace", "Charles Babbage", "Mary Somerville"), 1843, "A Journal, 1(2), 3-4")


@dataclass(frozen=True, kw_only=True)
class Config(Settings):
    """Settings of the fake."""

    QUICK: ClassVar[Mapping[str, Any]] = {"seeds": 1, "epochs": 1, "rate": 0.5}

    variant: Literal["old", "new"] = "new"
    """Which of the two networks."""
    distort: bool = False
    """Whether to distort."""
    rate: float = 0.1
    """Step size."""
    epochs: int = 20
    """Epochs."""
    width: int | None = None
    """Units; by variant if not given."""

    def resolve_defaults(self) -> Mapping[str, Any]:
        return {"width": {"old": 3, "new": 7}[self.variant]}


@dataclass
class Trainer:
    """A training function that returns an error per seed, and keeps the configs it was called with."""

    errors: tuple[float, ...] = (0.80, 0.84, 0.85)
    comparable: bool = True
    calls: list[Config] = field(default_factory=list)

    def __call__(self, config: Config) -> Result:
        self.calls.append(config)
        error = self.errors[config.seed % len(self.errors)]
        data = "MNIST" if self.comparable else "bundled digits, in place of mnist"
        return Result(measured={"error": error, "loss": 1.5}, data=data, comparable=self.comparable, seconds=2.0)


def draw(config: Config, results: Sequence[Result]) -> dict[str, Figure]:
    return {"An empty figure": Figure(figsize=(1, 1))}


def fake(train: Trainer | None = None, **declarations: Any) -> Recipe:
    defaults: dict[str, Any] = {
        "name": "fake",
        "paper": PAPER,
        "config": Config,
        "train": train or Trainer(),
        "definition": lambda config: None,
        "input_shape": (2,),
        "metrics": {"error": "test error", "loss": "test loss"},
        "claims": (
            Claim(metric="error", value=0.95, unit="%", where="Table 1, p. 5", setting="plain",
                  when={"distort": False}, lower_is_better=True),
            Claim(metric="error", value=0.8, unit="%", where="Table 2, p. 6", setting="distorted",
                  when={"distort": True}, lower_is_better=True, note="82 errors"),
        ),
        "deviations": ("Adam, not SGD (p. 2).", Deviation("ReLU, not tanh (p. 3).", {"variant": "new"}), "No more."),
        "draw": draw,
    }  # fmt: skip
    return Recipe(**{**defaults, **declarations})


class EntryPoint:
    def __init__(self, name: str, value: str) -> None:
        self.name, self.value = name, value


def install(monkeypatch: Any, tmp_path: Path, **sources: str) -> Path:
    """Declare modules of a package `mine` as recipes, and return the folder of the package."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "mine"]:  # of an earlier test
        del sys.modules[name]
    package = tmp_path / "mine"
    package.mkdir()
    (package / "__init__.py").write_text("raise RuntimeError('the package was imported')\n")
    for name, source in sources.items():
        (package / f"{name}.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    points = [EntryPoint(name, f"mine.{name}") for name in sources]
    monkeypatch.setattr("deepkit.recipe.discovery.metadata", types.SimpleNamespace(entry_points=lambda group: points))
    monkeypatch.setattr("deepkit.recipe.discovery.package_folder", lambda module: package)
    return package
