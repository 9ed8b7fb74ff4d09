"""Train every repeat of a recipe, report it, and record it on request."""

from __future__ import annotations

import time

from deepkit.recipe.contract import Recipe, Result, Settings
from deepkit.recipe.report import Report, figure
from deepkit.utils.console import echo


def run(recipe: Recipe, config: Settings | None = None) -> Report:
    """Train every repeat of a recipe, print what it claimed beside what was measured, and record on request.

    Args:
        recipe: The recipe.
        config: Its settings; the paper's where not given.

    Returns:
        The report: measured values over seeds, and all that is needed to judge them.

    Raises:
        ValueError: If a smoke run was asked to be recorded, or the results file is not one.
    """
    from deepkit.recipe import results

    config = recipe.config() if config is None else config
    if config.record:
        results.check_recordable(config.record, quick=config.quick)  # before hours are spent, not after
    outcomes: list[Result] = []
    seconds: list[float] = []
    for repeat in config.repeats():
        began = time.perf_counter()
        outcome = recipe.train(repeat)
        spent = time.perf_counter() - began
        outcomes.append(outcome)
        seconds.append(spent if outcome.seconds is None else outcome.seconds)
        if config.seeds > 1:
            numbers = ", ".join(f"{name} {figure(value)}" for name, value in outcome.measured.items())
            echo(f"seed {repeat.seed}: {numbers} ({seconds[-1]:.1f} s)")
    report = Report.of(recipe, config, outcomes, seconds)
    report.show()
    if config.record:
        echo(f"recorded in {results.record(config.record, report)}")
    return report
