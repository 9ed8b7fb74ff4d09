"""Every recipe under its smallest settings, and the actions of the tests in separate processes.

python -m tests.recipes.every train RUNS TRAINING CASE...   (TRAINING: the one to kill in its second epoch, or 0)
python -m tests.recipes.every load RUNS CASE...
"""

from __future__ import annotations

import itertools
import json
import os
import signal
import sys
import tomllib
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parents[2]
ENTRY_POINTS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]["deepkit.recipes"]


@dataclass(frozen=True)
class Case:
    """A recipe under settings that train in about a second.

    Args:
        recipe: Name of its entry point.
        settings: Settings besides those of every case.
        trainings: Number of networks that are trained, each in its own folder; 0 for an experiment of small networks
            that are trained again when it is repeated.
        killed: Number of the training to kill in its second epoch, counted from 1.
        stand_in: Whether other data stands in for that of the paper.
    """

    recipe: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    trainings: int = 1
    killed: int = 1
    stand_in: bool = True

    def load(self) -> Any:
        """Import the recipe from the entry points of this working tree, whatever is installed."""
        import importlib

        return importlib.import_module(ENTRY_POINTS[self.recipe]).RECIPE

    def config(self, runs: Path, name: str) -> Any:
        common = {"devices": "cpu", "run_dir": runs / name, "data_dir": runs / "nothing"}
        if self.trainings:
            common["epochs"] = 2
        return self.load().config.smoke(**{**common, **self.settings})


CASES = {
    "backpropagation": Case("backpropagation", trainings=0, stand_in=False),
    "convolution": Case("convolution", trainings=0),
    "gradient_estimators": Case("gradient_estimators", trainings=0, stand_in=False),
    "lenet": Case("lenet", {"variant": "original", "distort": True}),
    "resnet": Case("resnet", {"batch_size": 200}),
    "depth": Case("depth", {"depths": (2,)}, trainings=4, killed=3),
    "sentiment": Case("sentiment", {"sequence_length": 8, "num_examples": 96}),
    "denoising": Case("denoising", {"pretraining_epochs": 2, "units": 10}, trainings=5, killed=2),
    "denoising-filters": Case("denoising", {"task": "filters", "units": 10}, trainings=4, killed=3),
    "vae": Case("vae", {"units": 10, "latent_dim": 2, "num_likelihood_samples": 5, "batch_size": 500}),
    "gan": Case("gan"),
    "gan-ring": Case("gan", {"data": "ring", "batch_size": 200}, stand_in=False),
    "translation": Case("translation", {"num_examples": 96, "batch_size": 32, "num_beams": 1}, trainings=3, killed=2),
    "character_model": Case("character_model", {"units": 8, "num_characters": 4_000, "batch_size": 16}),
    "captions": Case("captions", trainings=3, killed=2, stand_in=False),
    "arithmetic": Case("arithmetic", {"num_pairs": 200}, trainings=2, killed=2, stand_in=False),
    "dates": Case("dates", {"num_pairs": 128}, trainings=2, killed=1, stand_in=False),
    "dates-reversed": Case("dates", {"variant": "reversed", "num_pairs": 128}, trainings=2, killed=2, stand_in=False),
    "memory": Case("memory", {"steps": 10}, trainings=6, killed=2, stand_in=False),
    "both_directions": Case("both_directions", trainings=3, killed=2, stand_in=False),
    "tagging": Case("tagging", trainings=3, killed=2, stand_in=False),
    "glimpses": Case("glimpses", {"units": 16, "num_glimpses": 3}),
    "visual_questions": Case("visual_questions", {"num_scenes": 200}, trainings=3, killed=2, stand_in=False),
    "gradient_descent": Case("gradient_descent", trainings=0, stand_in=False),
    "regularization": Case("regularization", trainings=0, stand_in=False),
    "threshold_units": Case("threshold_units", trainings=0, stand_in=False),
    "logistic_regression": Case("logistic_regression", trainings=0, stand_in=False),
    "linear_classifier": Case("linear_classifier", trainings=0),
    "approximation": Case("approximation", {"epochs": 2}, trainings=0, stand_in=False),
    "hard_cases": Case("hard_cases", {"epochs": 2}, trainings=0, stand_in=False),
    "identity_838": Case("identity_838", {"epochs": 2}, trainings=0, stand_in=False),
    "vowels": Case("vowels", {"epochs": 2}, trainings=0),
    "xor": Case("xor", trainings=2, killed=2, stand_in=False),
}


OUTPUTS = ("translations", "texts", "captions", "samples", "outputs")
RESUMED = [name for name, case in CASES.items() if case.trainings]


def predictions(model: Any, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the predictions of a trained model: texts, or samples and outputs.

    Args:
        model: The model.
        arrays: Its inputs by name; a single input is named "inputs".
    """
    import tensorflow as tf

    inputs: Any = arrays.get("inputs", arrays)
    if hasattr(model, "translate"):
        texts = [text.decode() if isinstance(text, bytes) else str(text) for text in inputs]
        return {"translations": np.array(model.translate(texts, num_beams=2, max_length=8), "S")}
    if hasattr(model, "generate"):
        return {"texts": np.array(model.generate(["a", ""], temperature=0, max_new_tokens=8), "S")}
    if hasattr(model, "caption"):
        return {"captions": np.array(model.caption(inputs, num_beams=2, max_length=8), "S")}
    samples = {"samples": model.sample(4, seed=0)} if hasattr(model, "sample") else {}
    return {**samples, "outputs": np.asarray(model(tf.nest.map_structure(tf.constant, inputs), training=False))}


def as_texts(values: np.ndarray) -> np.ndarray:
    """Return texts as an array of bytes, and other values as they are."""
    return np.array(values.tolist()) if values.dtype == object else values


def saving_predictions(fit: Any) -> Any:
    """Return a `dk.fit` that also saves the predictions of the trained model in its run directory."""

    def wrapped(net: Any, data: Any, **arguments: Any) -> Any:
        run = fit(net, data, **arguments)
        if run.run_dir is not None:
            inputs = data[:8] if isinstance(data, np.ndarray) else data.train.arrays(8)[0]
            inputs = {"inputs": inputs} if isinstance(inputs, np.ndarray) else inputs
            inputs = {name: as_texts(values) for name, values in inputs.items()}
            np.savez(run.run_dir / "predictions.npz", **inputs, **predictions(run.model, inputs))
        return run

    return wrapped


def kill_in(training: int) -> None:
    """Make this process kill itself in the second epoch of one of its trainings."""
    from deepkit.training.loop import CheckpointCallback

    count, begins, step = itertools.count(1), CheckpointCallback.on_train_begin, CheckpointCallback.on_train_batch_end
    numbers: dict[int, int] = {}

    def on_train_begin(self: CheckpointCallback, logs: Any = None) -> None:
        numbers[id(self)] = next(count)
        begins(self, logs)

    def on_train_batch_end(self: CheckpointCallback, batch: int, logs: Any = None) -> None:
        step(self, batch, logs)
        if (numbers[id(self)], self.state.epoch) == (training, 1) and batch > 0:
            os.kill(os.getpid(), signal.SIGKILL)

    CheckpointCallback.on_train_begin, CheckpointCallback.on_train_batch_end = on_train_begin, on_train_batch_end  # type: ignore[method-assign]


def train(runs: Path, names: list[str]) -> None:
    """Train each case in its own folder, and write its report or its error there."""
    import deepkit as dk
    from deepkit.training import pretrain

    dk.fit = pretrain.fit = saving_predictions(dk.fit)
    for name in names:
        case = CASES[name]
        try:
            report = dk.recipe.run(case.load(), case.config(runs, name))
        except Exception:  # continue with the other cases
            (runs / name / "error.txt").write_text(traceback.format_exc())
            continue
        content = {
            "measured": {metric: measured.values for metric, measured in report.measured.items()},
            "comparable": report.comparable,
            "figures": {caption: len(png) for caption, png in report.figures.items()},
        }
        (runs / name / "report.json").write_text(json.dumps(content))


def load(runs: Path, names: list[str]) -> None:
    """Load the trained models without importing a recipe, and compare their predictions."""
    import keras

    import deepkit.layers
    import deepkit.models  # noqa: F401  registers its classes

    for name in names:
        for path in sorted((runs / name).rglob("model.keras")):
            try:
                with np.load(path.with_name("predictions.npz")) as saved:
                    inputs = {name: saved[name] for name in saved.files if name not in OUTPUTS}
                    loaded = predictions(keras.models.load_model(path), inputs)
                    for key, values in loaded.items():
                        np.testing.assert_array_equal(values, saved[key], err_msg=key)
                outcome = ", ".join(loaded)
            except Exception:
                outcome = traceback.format_exc()
            path.with_name("loaded.txt").write_text(outcome)


if __name__ == "__main__":
    command, folder, *arguments = sys.argv[1:]
    if command == "load":
        load(Path(folder), arguments)
    else:
        training, *names = arguments
        if int(training):
            kill_in(int(training))
        train(Path(folder), names)
