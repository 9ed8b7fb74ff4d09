"""Every recipe under its smallest settings, and the actions of the tests in separate processes.

python -m tests.recipes.every train RUNS COPIES   train every case, and copy its folder within one of its trainings
python -m tests.recipes.every resume COPIES       finish the copied trainings
python -m tests.recipes.every load RUNS           load the trained models
python -m tests.recipes.every quick RESULTS       run every recipe as a program with --quick
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import runpy
import shutil
import subprocess
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
        copied: Number of the training in whose second epoch the folder is copied, counted from 1.
        stand_in: Whether other data stands in for that of the paper.
    """

    recipe: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    trainings: int = 1
    copied: int = 1
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
    "depth": Case("depth", {"depths": (2,)}, trainings=4, copied=3),
    "sentiment": Case("sentiment", {"sequence_length": 8, "num_examples": 96}),
    "linear_autoencoder": Case("linear_autoencoder"),
    "denoising": Case("denoising", {"pretraining_epochs": 2, "units": 10}, trainings=5, copied=2),
    "denoising-rectangles": Case(
        "denoising", {"task": "rectangles", "pretraining_epochs": 2, "units": 10}, trainings=5, copied=4, stand_in=False
    ),
    "denoising-filters": Case("denoising", {"task": "filters", "units": 10}, trainings=4, copied=3),
    "denoising_score": Case("denoising_score", stand_in=False),
    "vae": Case("vae", {"units": 10, "latent_dim": 2, "num_likelihood_samples": 5, "batch_size": 500}),
    "rbm": Case("rbm", {"batch_size": 10}, trainings=2, copied=2, stand_in=False),
    "rbm-mnist": Case("rbm", {"data": "mnist", "batch_size": 200}),
    "deep_autoencoder": Case("deep_autoencoder", {"pretraining_epochs": 2}, trainings=3, copied=2),
    "deep_autoencoder-curves": Case(
        "deep_autoencoder",
        {"data": "curves", "pretraining_epochs": 2, "hidden_units": (10,)},
        trainings=3,
        copied=1,
        stand_in=False,
    ),
    "dbn": Case("dbn", {"pretraining_epochs": 2}, trainings=5, copied=2),
    "gan": Case("gan"),
    "gan-ring": Case("gan", {"data": "ring", "batch_size": 200}, stand_in=False),
    "gridworld": Case("gridworld", trainings=0, stand_in=False),
    "hopfield": Case("hopfield", {"units": 60}, trainings=0, stand_in=False),
    "helmholtz": Case("helmholtz", {"batch_size": 200}, stand_in=False),
    "translation": Case("translation", {"num_examples": 48, "batch_size": 16, "num_beams": 1}, trainings=3, copied=3),
    "character_model": Case("character_model", {"units": 8, "num_characters": 4_000, "batch_size": 16}),
    "captions": Case("captions", {"num_scenes": 16, "batch_size": 4}, trainings=3, copied=3, stand_in=False),
    "arithmetic": Case("arithmetic", {"num_pairs": 200}, trainings=2, copied=2, stand_in=False),
    "dates": Case("dates", {"num_pairs": 128}, trainings=2, copied=1, stand_in=False),
    "dates-reversed": Case("dates", {"variant": "reversed", "num_pairs": 128}, trainings=2, copied=2, stand_in=False),
    "memory": Case("memory", {"steps": 10}, trainings=6, copied=5, stand_in=False),
    "both_directions": Case("both_directions", trainings=3, copied=2, stand_in=False),
    "tagging": Case("tagging", trainings=3, copied=2, stand_in=False),
    "glimpses": Case("glimpses", {"units": 16, "num_glimpses": 3}),
    "visual_questions": Case("visual_questions", {"num_scenes": 200}, trainings=3, copied=2, stand_in=False),
    "gradient_descent": Case("gradient_descent", trainings=0, stand_in=False),
    "regularization": Case("regularization", trainings=0, stand_in=False),
    "threshold_units": Case("threshold_units", trainings=0, stand_in=False),
    "logistic_regression": Case("logistic_regression", trainings=0, stand_in=False),
    "linear_classifier": Case("linear_classifier", trainings=0),
    "approximation": Case("approximation", {"epochs": 2}, trainings=0, stand_in=False),
    "hard_cases": Case("hard_cases", {"epochs": 2}, trainings=0, stand_in=False),
    "identity_838": Case("identity_838", {"epochs": 2}, trainings=0, stand_in=False),
    "vowels": Case("vowels", {"epochs": 2}, trainings=0),
    "connect_four": Case("connect_four", trainings=0, stand_in=False),
    "xor": Case("xor", trainings=2, copied=2, stand_in=False),
    "cartpole": Case("cartpole", trainings=3, copied=3, stand_in=False),
    "dqn": Case("dqn", trainings=4, copied=2, stand_in=False),
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
        return {"texts": np.array(model.generate(["a", ""], seed=0, max_new_tokens=8), "S")}
    if hasattr(model, "caption"):
        return {"captions": np.array(model.caption(inputs, num_beams=2, max_length=8), "S")}
    samples = {"samples": model.sample(4, seed=0)} if hasattr(model, "sample") else {}
    return {**samples, "outputs": np.asarray(model(tf.nest.map_structure(tf.constant, inputs), training=False))}


def saving_scores(learn: Any) -> Any:
    """Return a `dk.learn` that also saves the scores of the trained agent in its run directory."""

    def wrapped(agent: Any, env: Any, **arguments: Any) -> Any:
        import deepkit as dk

        run = learn(agent, env, **arguments)
        if run.run_dir is not None:
            observations = np.array(dk.envs.make(env).reset(seed=0)[0])
            np.savez(
                run.run_dir / "predictions.npz", inputs=observations, **predictions(run.model, {"inputs": observations})
            )
        return run

    return wrapped


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


class Observer:
    """Counts the trainings of a case, and copies its folder within the second epoch of one of them.

    The copy has the files that a kill at this moment would leave. `dk.fit` writes the report of the first training, and
    no others, because a report takes longer than a training of a few steps; without copies it writes none.

    Args:
        copies: Folder for the copies; None for none.
    """

    def __init__(self, copies: Path | None = None) -> None:
        from deepkit.training import agent_report, run_report
        from deepkit.training.loop import CheckpointCallback

        self.copies, self.folder, self.case, self.trainings = copies, Path(), Case(""), 0
        begin, end_batch, write = (
            CheckpointCallback.on_train_begin,
            CheckpointCallback.on_train_batch_end,
            run_report.write,
        )

        def on_train_begin(callback: CheckpointCallback, logs: Any = None) -> None:
            self.trainings += 1
            begin(callback, logs)

        def on_train_batch_end(callback: CheckpointCallback, batch: int, logs: Any = None) -> None:
            end_batch(callback, batch, logs)
            is_within = batch > 0 or callback.params["steps"] == 1  # one step: after it, before the end of the epoch
            if (self.trainings, callback.state.epoch) == (self.case.copied, 1) and is_within:
                self.copy()

        def write_report(*parts: Any) -> None:
            if self.copies is not None and self.trainings == 1:
                write(*parts)

        CheckpointCallback.async_safe = False  # the training waits for the copy
        CheckpointCallback.on_train_begin = on_train_begin  # type: ignore[method-assign]
        CheckpointCallback.on_train_batch_end = on_train_batch_end  # type: ignore[method-assign]
        run_report.write = write_report
        agent_report.write = lambda *parts: None

    def begin(self, folder: Path) -> None:
        self.folder, self.case, self.trainings = folder, CASES[folder.name], 0

    def copy(self) -> None:
        if self.copies is not None and self.case.trainings and not (self.copies / self.folder.name).exists():
            shutil.copytree(self.folder, self.copies / self.folder.name)


def train(runs: Path, copies: Path) -> None:
    """Train each case in its own folder, and write its report or its error there, and the predictions of its models."""
    import deepkit as dk
    from deepkit.training import pretrain

    dk.fit = pretrain.fit = saving_predictions(dk.fit)
    dk.learn = saving_scores(dk.learn)
    observer = Observer(copies)
    for name in CASES:
        train_case(runs / name, observer)


def resume(copies: Path) -> None:
    """Finish the copied trainings."""
    observer = Observer()
    for name in RESUMED:
        train_case(copies / name, observer)


def train_case(folder: Path, observer: Observer) -> None:
    import deepkit as dk

    case = CASES[folder.name]
    observer.begin(folder)
    try:
        report = dk.recipe.run(case.load(), case.config(folder.parent, folder.name))
    except Exception:  # continue with the other cases
        folder.mkdir(exist_ok=True)
        (folder / "error.txt").write_text(traceback.format_exc())
        return
    content = {
        "measured": {metric: measured.values for metric, measured in report.measured.items()},
        "comparable": report.comparable,
        "figures": {caption: len(png) for caption, png in report.figures.items()},
        "trainings": observer.trainings,
    }
    (folder / "report.json").write_text(json.dumps(content))


def load(runs: Path) -> None:
    """Load the trained models without importing a recipe, and compare their predictions."""
    import keras

    import deepkit.layers
    import deepkit.models  # noqa: F401  registers its classes

    for name in RESUMED:
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


def quick(results: Path) -> None:
    """Run the module of each recipe as a program without a run directory, and write its exit code and its output."""
    for name, module in ENTRY_POINTS.items():
        output, errors, code = io.StringIO(), io.StringIO(), None
        sys.argv = [module, "--quick"]
        with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
            try:
                runpy.run_module(module, run_name="__main__", alter_sys=True)
            except SystemExit as end:
                code = end.code
            except Exception:  # continue with the other recipes
                traceback.print_exc()
        content = {"code": code, "printed": output.getvalue(), "errors": errors.getvalue()}
        (results / f"{name}.json").write_text(json.dumps(content))


def run_every(command: str, *folders: Path) -> None:
    """Run a command of this module in a new process, without prepared data and without a network."""
    no_proxy = dict.fromkeys(("http_proxy", "https_proxy"), "http://127.0.0.1:9")
    environment = {**os.environ, **no_proxy, "TFDS_DATA_DIR": str(folders[0]), "PYTHONPATH": str(ROOT)}
    arguments = [sys.executable, "-m", "tests.recipes.every", command, *map(str, folders)]
    done = subprocess.run(arguments, capture_output=True, text=True, check=False, cwd=folders[0], env=environment)
    assert done.returncode == 0, done.stderr[-3000:]


if __name__ == "__main__":
    command, *folders = sys.argv[1:]
    {"train": train, "resume": resume, "load": load, "quick": quick}[command](*map(Path, folders))
