"""The display of a run and of a learning rate test in a notebook."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deepkit.execution.plan_display import plan_tables
from deepkit.utils import html_fragments as fragments
from deepkit.utils.durations import format_duration
from deepkit.utils.metric_names import metric_name

if TYPE_CHECKING:
    from deepkit.training.learning_rate import LearningRateTest
    from deepkit.training.trained_run import Run
    from deepkit.utils.types import History

_PREFIX = "val_"
_MAX_CURVES = 4  # metrics that are drawn; the table lists all of them


def render_run(run: Run) -> str:
    """Return learning curves, final metrics and report of a run as HTML."""
    state = "finished" if run.finished else "interrupted"
    epochs = f"{run.epochs} epoch{'' if run.epochs == 1 else 's'}"
    detail = f"{state} after {epochs} in {format_duration(run.seconds)}; {run.model.count_params():,} parameters"
    return "".join(
        [
            fragments.title(run.model.name, detail),
            _curves(run),
            _metric_table(run.history),
            fragments.table(_property_rows(run)),
            fragments.details("Plan", plan_tables(run.plan)),
        ]
    )


def render_learning_rate_test(test: LearningRateTest) -> str:
    """Return the loss over the learning rate, and the suggestion, as HTML."""
    from deepkit.visualize.html_figures import png_fragment

    image = png_fragment(test.plot(), "The loss over the learning rate")
    return fragments.title("Learning rate test", str(test)) + image


def _curves(run: Run) -> str:
    from deepkit.visualize.html_figures import png_fragment
    from deepkit.visualize.training_curves import curves

    names = [name for name, values in run.history.items() if values and not name.startswith(_PREFIX)]
    if not names:
        return ""
    drawn = set(sorted(names, key=lambda name: name != "loss")[:_MAX_CURVES])
    history = {name: values for name, values in run.history.items() if name.removeprefix(_PREFIX) in drawn}
    return png_fragment(curves(history), f"Learning curves of {run.model.name}")


def _metric_table(history: History) -> str:
    """Return the values of the last epoch, with a row for each metric."""
    last = {name: metric_name(name).format(values[-1]) for name, values in history.items() if values}
    names = dict.fromkeys(name.removeprefix(_PREFIX) for name in last)
    if not names:
        return fragments.note("There is no finished epoch.")
    if not any(name.startswith(_PREFIX) for name in last):
        return fragments.table([(metric_name(name).text, last[name]) for name in names], ("last epoch", "training"))
    rows = [(metric_name(name).text, last.get(name, ""), last.get(_PREFIX + name, "")) for name in names]
    return fragments.table(rows, ("last epoch", "training", "validation"))


def _property_rows(run: Run) -> list[tuple[str, str]]:
    rows = [("resume", run.resume)]
    if run.run_dir is not None:
        rows.append(("run directory", str(run.run_dir)))
    if run.report is not None:
        rows.append(("report", str(run.report)))
    return rows
