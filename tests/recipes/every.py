"""Every recipe as small as it goes, and what is done with them in processes of their own.

python -m tests.recipes.every train RUNS TRAINING CASE...   (TRAINING: 0, or which is killed in its second epoch)
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
POINTS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]["deepkit.recipes"]


@dataclass(frozen=True)
class Case:
    """A recipe under settings that train in a second or so.

    Args:
        recipe: Name of its entry point.
        settings: Besides those of every case.
        trainings: How many nets are trained, each in a folder of its own.
        killed: Which of them is killed in its second epoch, counted from 1.
        stand_in: Whether other data stands in for the paper's.
    """

    recipe: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    trainings: int = 1
    killed: int = 1
    stand_in: bool = True

    def load(self) -> Any:
        """Import the recipe; by this tree's list, whatever is installed."""
        import importlib

        return importlib.import_module(POINTS[self.recipe]).RECIPE

    def config(self, runs: Path, name: str) -> Any:
        given = {"epochs": 2, "devices": "cpu", "run_dir": runs / name, "data_dir": runs / "nothing", **self.settings}
        return self.load().config.smoke(**given)


CASES = {
    "lenet": Case("lenet", {"variant": "original", "distort": True}),
    "resnet": Case("resnet", {"batch_size": 500}),
    "depth": Case("depth", {"depths": (2,)}, trainings=4, killed=3),
    "sentiment": Case("sentiment", {"length": 8, "num_examples": 96}),
    "denoising": Case("denoising", {"pretraining": 2, "units": 10}, trainings=5, killed=2),
    "denoising-filters": Case("denoising", {"task": "filters", "units": 10}, trainings=4, killed=3),
    "vae": Case("vae", {"hidden": 10, "latent_dim": 2, "likelihood_samples": 5, "batch_size": 500}),
    "gan": Case("gan"),
    "gan-ring": Case("gan", {"data": "ring", "batch_size": 4000}, stand_in=False),
    "translation": Case("translation", {"num_examples": 96, "batch_size": 32, "num_beams": 1}, trainings=2, killed=2),
    "xor": Case("xor", trainings=2, killed=2, stand_in=False),
}


def answers(model: Any, inputs: Any) -> dict[str, np.ndarray]:
    """Return what a model is asked for once it is trained."""
    import tensorflow as tf

    if hasattr(model, "translate"):
        texts = [text.decode() if isinstance(text, bytes) else str(text) for text in inputs]
        return {"translations": np.array(model.translate(texts, num_beams=2, max_length=8), "S")}
    drawn = {"samples": model.sample(4, seed=0)} if hasattr(model, "sample") else {}
    return {**drawn, "outputs": np.asarray(model(tf.constant(inputs), training=False))}


def answering(fit: Any) -> Any:
    """Return `dk.fit`, leaving in the run's folder what the trained model answers."""

    def wrapped(net: Any, data: Any, **given: Any) -> Any:
        run = fit(net, data, **given)
        if run.run_dir is not None:
            inputs = data[:8] if isinstance(data, np.ndarray) else data.train.arrays(8)[0]
            inputs = np.array(inputs.tolist()) if inputs.dtype == object else inputs  # texts as bytes
            np.savez(run.run_dir / "answers.npz", inputs=inputs, **answers(run.model, inputs))
        return run

    return wrapped


def kill_in(training: int) -> None:
    """Let this process be killed, without any chance to tidy up, in the second epoch of one of its trainings."""
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
    """Train each case in a folder of its own, and leave its numbers there, or why there are none."""
    import deepkit as dk
    from deepkit.training import pretrain

    dk.fit = pretrain.fit = answering(dk.fit)
    for name in names:
        case = CASES[name]
        try:
            report = dk.recipe.run(case.load(), case.config(runs, name))
        except Exception:  # the other cases are not to suffer
            (runs / name / "error.txt").write_text(traceback.format_exc())
            continue
        found = {
            "measured": {metric: measured.values for metric, measured in report.measured.items()},
            "comparable": report.comparable,
            "pictures": {caption: len(picture) for caption, picture in report.figures.items()},
        }
        (runs / name / "report.json").write_text(json.dumps(found))


def load(runs: Path, names: list[str]) -> None:
    """Load what was trained where no recipe was imported, and compare answers."""
    import keras

    import deepkit.layers
    import deepkit.models  # noqa: F401  what is registered by importing it

    for name in names:
        for path in sorted((runs / name).rglob("model.keras")):
            try:
                with np.load(path.with_name("answers.npz")) as kept:
                    loaded = answers(keras.models.load_model(path), kept["inputs"])
                    for what, answer in loaded.items():
                        np.testing.assert_array_equal(answer, kept[what], err_msg=what)
                said = ", ".join(loaded)
            except Exception:
                said = traceback.format_exc()
            path.with_name("loaded.txt").write_text(said)


if __name__ == "__main__":
    what, folder, *rest = sys.argv[1:]
    if what == "load":
        load(Path(folder), rest)
    else:
        if int(rest[0]):
            kill_in(int(rest[0]))
        train(Path(folder), rest[1:])
