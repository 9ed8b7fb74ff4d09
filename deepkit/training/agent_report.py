"""The report of an agent's run: one self-contained HTML page with the returns, the figures and the settings."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import matplotlib.figure
import numpy as np
from matplotlib.axes import Axes

from deepkit.training.compiled_model import CompiledModel
from deepkit.training.reporting import report_html as elements
from deepkit.training.reporting.report_figures import ReportFigures
from deepkit.training.reporting.report_html import Section
from deepkit.training.reporting.settings_sections import model_section, plan_section, reproduction_section
from deepkit.training.state import TrainingState
from deepkit.utils import files, machine

if TYPE_CHECKING:
    import gymnasium

    from deepkit.training.run_dir import RunDir
    from deepkit.utils.types import History

_TITLES = {"mean_return": "Mean return of the episodes of an epoch", "mean_length": "Mean length of the episodes"}


def write(
    compiled: CompiledModel,
    environment: str,
    env: gymnasium.vector.VectorEnv,
    final_state: TrainingState,
    run_dir: RunDir,
    resume: str,
) -> None:
    """Write `report.html` and the figures of a finished run, each atomically.

    Args:
        compiled: The compiled agent.
        environment: The environment as text.
        env: The vector environment.
        final_state: The state at the end of the training.
        run_dir: The run directory.
        resume: Whether a resumed run is exact.

    Raises:
        OSError: A file could not be written; the run itself is already saved.
    """
    figures = ReportFigures()
    history = final_state.history
    sections = [
        Section("Learning curves", _curves(history, figures)),
        Section("Agent", model_section(compiled, figures)),
        Section("Environment", _environment(environment, env)),
        Section("Training", elements.facts([("optimizer", compiled.optimizer), ("loss", compiled.loss)])),
        Section("Plan", plan_section(compiled.plan)),
        Section("Reproduction", reproduction_section(resume)),
    ]
    steps = int(history["num_steps"][-1]) if history.get("num_steps") else 0
    lead = f"{type(compiled.model).__name__} in {environment}, {steps:,} steps in {sum(final_state.seconds):.0f} s."
    version = machine.versions()["deepkit"]
    page = elements.page(
        compiled.model.name, lead, _numbers(history), sections, f"Written by deepkit {version} at the end of dk.learn."
    )
    for name, content in figures.contents.items():
        run_dir.write(f"figures/{name}.png", content)
    with files.atomic_path(run_dir.report) as path:
        path.write_text(page, encoding="utf-8")


def _numbers(history: History) -> str:
    pairs = []
    for name, title in (("mean_return", "mean return"), ("val_mean_return", "without exploration"), ("loss", "loss")):
        values = [value for value in history.get(name, []) if not math.isnan(value)]
        if values:
            pairs.append((f"{title}, last epoch", f"{values[-1]:.4g}"))
            if name != "loss":
                pairs.append((f"{title}, best epoch", f"{max(values):.4g}"))
    return elements.numbers(pairs)


def _curves(history: History, figures: ReportFigures) -> str:
    steps = np.asarray(history.get("num_steps", []))
    if not len(steps):
        return elements.note("There is no finished epoch.")
    names = [name for name in history if not name.startswith("val_") and name not in ("num_steps", "num_episodes")]
    names.sort(key=lambda name: (name != "mean_return", name))
    drawn = []
    for name in names:
        figure = matplotlib.figure.Figure(figsize=(4.4, 2.8), layout="constrained")
        axes = figure.add_subplot()
        _plot(axes, steps, history[name], "training")
        if f"val_{name}" in history:
            _plot(axes, steps, history[f"val_{name}"], "without exploration")
            axes.legend(frameon=False)
        axes.set_xlabel("steps")
        axes.set_ylabel(name.replace("_", " "))
        axes.spines[["top", "right"]].set_visible(False)
        values = [value for value in history[name] if not math.isnan(value)]
        trend = f": {values[0]:.4g} in the first epoch, {values[-1]:.4g} in the last" if values else ""
        drawn.append(figures.add(name, figure, f"{name.replace('_', ' ')}{trend}", _TITLES.get(name, "")))
    return elements.panels(drawn)


def _plot(axes: Axes, steps: np.ndarray, values: Sequence[float], label: str) -> None:
    """Draw a curve over the epochs in which an episode ended, with a marker for each of few epochs."""
    array = np.asarray(values, np.float64)
    is_known = np.isfinite(array)
    axes.plot(steps[is_known], array[is_known], marker="o" if is_known.sum() < 12 else "", markersize=3, label=label)


def _environment(environment: str, env: gymnasium.vector.VectorEnv) -> str:
    return elements.facts(
        [
            ("environment", environment),
            ("environments at the same time", str(env.num_envs)),
            ("observations", str(env.single_observation_space)),
            ("actions", str(env.single_action_space)),
        ]
    )
