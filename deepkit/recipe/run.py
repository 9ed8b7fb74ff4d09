"""Train every repeat of a recipe, report the results, and record them on request."""

from __future__ import annotations

import time

from deepkit.recipe.contract import Recipe, Result
from deepkit.recipe.report import Report, format_number
from deepkit.recipe.settings import Settings
from deepkit.utils.console import console, echo


def run(recipe: Recipe, config: Settings | None = None) -> Report:
    """Train every repeat of a recipe, print measured beside claimed values, and record them on request.

    Args:
        recipe: The recipe.
        config: Its settings; None for the defaults.

    Returns:
        The report: measured values over seeds, data, time, claims and deviations.

    Raises:
        ResultsError: A smoke run is to be recorded, or the results file is not a results file.

    Examples:
        >>> import deepkit as dk
        >>> recipe = dk.recipe.Recipe(
        ...     name="sums",
        ...     paper=dk.recipe.Paper("Sums", ("Ada Lovelace",), 1843, "Notes"),
        ...     config=dk.recipe.Settings,
        ...     train=lambda config: dk.recipe.Result(
        ...         measured={"error": 2.0 + config.seed}, data="none"
        ...     ),
        ...     metrics={"error": "share of wrong sums"},
        ...     claims=(
        ...         dk.recipe.Claim(
        ...             metric="error",
        ...             value=2.5,
        ...             unit="%",
        ...             where="page 3",
        ...             setting="by hand",
        ...             lower_is_better=True,
        ...         ),
        ...     ),
        ... )
        >>> report = dk.recipe.run(recipe)
        sums: Lovelace 1843
        ...
        command    deepkit run sums
        claim      error, page 3: by hand
        >>> report.rows()
        [('error', '2.5 %', 'page 3', '2 %', '0.5 better')]
    """
    from deepkit.recipe import results

    config = recipe.config() if config is None else config
    is_chief = _connect_workers(config)
    if config.record:
        results.check_recordable(config.record, quick=config.quick)  # before hours of training, not after
    repeat_results: list[Result] = []
    seconds: list[float] = []
    for repeat in config.repeats():
        start = time.perf_counter()
        result = recipe.train(repeat)
        wall_time = time.perf_counter() - start
        repeat_results.append(result)
        seconds.append(wall_time if result.seconds is None else result.seconds)
        if config.seeds > 1:
            numbers = ", ".join(f"{name} {format_number(value)}" for name, value in result.measured.items())
            echo(f"seed {repeat.seed}: {numbers} ({seconds[-1]:.1f} s)")
    report = Report.of(recipe, config, repeat_results, seconds)
    if is_chief:
        report.show()
    if config.record and is_chief:
        echo(f"recorded in {results.record(config.record, report)}")
    return report


def _connect_workers(config: Settings) -> bool:
    """Connect to the other workers, before anything is computed, and return whether this process is the chief.

    The other workers print nothing.
    """
    from deepkit.utils.cluster import find_cluster

    if find_cluster("auto") is None:
        return True
    is_chief = config.plan().is_chief
    console().quiet = not is_chief
    return is_chief
