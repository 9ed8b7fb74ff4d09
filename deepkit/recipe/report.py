"""The report of a recipe: measured beside claimed values, for the terminal and for the results file."""

from __future__ import annotations

import dataclasses
import io
import math
import shlex
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from PIL import Image
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table

from deepkit.utils import files, machine
from deepkit.utils.console import console, echo
from deepkit.utils.display import Displayable
from deepkit.utils.durations import format_duration

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from deepkit.recipe.contract import Claim, Recipe, Result
    from deepkit.recipe.settings import Settings

RUNS = "runs"  # unit of a metric that is 1 for a successful run and 0 for another
_MAX_DIGITS = 6  # behind the point
SMOKE_RUN = "smoke run, not a result"
STAND_IN = "not comparable with the paper"
PATH_SETTINGS = ("run_dir", "data_dir", "record")  # paths of this machine: neither reported nor recorded
RUN_SETTINGS = ("seed", "seeds", "devices", "jit_compile", "autotune", "quick")  # do not identify an experiment


@dataclass(frozen=True)
class Measured:
    """The values of one metric over all seeds.

    >>> Measured((0.80, 0.84, 0.85)).text("%")
    '0.830 ± 0.026 %'
    >>> Measured((1.0, 0.0, 1.0)).text("runs")
    '2 of 3'
    """

    values: tuple[float, ...]

    @property
    def mean(self) -> float:
        """Mean over the seeds."""
        return statistics.fmean(self.values)

    @property
    def std(self) -> float | None:
        """Sample standard deviation over the seeds; None for a single seed."""
        return statistics.stdev(self.values) if len(self.values) > 1 else None

    def text(self, unit: str = "") -> str:
        """Return mean and standard deviation with their significant digits; in runs, the number of successful runs."""
        if unit == RUNS:
            return f"{sum(self.values):.0f} of {len(self.values)}"
        return f"{self._number()} {unit}".rstrip()

    def _number(self) -> str:
        std = self.std
        if std is None:
            return format_number(self.mean)
        if not std or not math.isfinite(std):
            return f"{format_number(self.mean)} ± 0"
        digits = max(1 - math.floor(math.log10(std)), 0)
        if digits > _MAX_DIGITS:
            return f"{self.mean:.3g} ± {std:.1g}"
        return f"{self.mean:,.{digits}f} ± {std:,.{digits}f}"


@dataclass(frozen=True)
class Report(Displayable):
    """The report of one command: every measured number, and the facts needed to judge it.

    Args:
        recipe: The recipe.
        config: The settings of all repeats.
        results: Result of each repeat.
        seconds: Training time of each repeat.
        figures: PNG images by caption.

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
        >>> config = recipe.config(seeds=3)
        >>> results = [recipe.train(repeat) for repeat in config.repeats()]
        >>> report = dk.recipe.report.Report.of(
        ...     recipe, config, results, [0.1, 0.1, 0.1]
        ... )
        >>> report.rows()
        [('error', '2.5 %', 'page 3', '3.0 ± 1.0 %', '0.5 worse')]
        >>> report.measured["error"].mean
        3.0
    """

    columns: ClassVar[tuple[str, ...]] = ("metric", "claimed", "source", "measured", "difference")

    recipe: Recipe
    config: Settings
    results: tuple[Result, ...]
    seconds: tuple[float, ...]
    figures: Mapping[str, bytes] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, recipe: Recipe, config: Settings, results: Sequence[Result], seconds: Sequence[float]) -> Report:
        """Return the report of finished repeats; draw figures only if the run directory or a record keeps them.

        Args:
            recipe: The recipe.
            config: The settings of all repeats.
            results: Result of each repeat.
            seconds: Training time of each repeat.
        """
        report = cls(recipe, config, tuple(results), tuple(seconds))
        if not (config.run_dir or config.record):
            return report
        figures = {caption: path.read_bytes() for caption, path in results[0].figures.items() if path.exists()}
        for draw in (recipe.draw, recipe.draw_curves):
            if draw:
                figures |= {caption: png(figure) for caption, figure in draw(config, results).items()}
        return dataclasses.replace(report, figures=figures)

    @property
    def measured(self) -> dict[str, Measured]:
        """Values of every metric over the seeds, in the order of the recipe."""
        values: dict[str, list[float]] = {}
        for result in self.results:
            for name, value in result.measured.items():
                values.setdefault(name, []).append(float(value))
        return {name: Measured(tuple(numbers)) for name, numbers in values.items()}

    @property
    def comparable(self) -> bool:
        """Whether every repeat ran on the data of the paper."""
        return all(result.comparable for result in self.results)

    @property
    def data(self) -> str:
        """Description of the data of the repeats."""
        return "; ".join(dict.fromkeys(result.data for result in self.results))

    @property
    def notes(self) -> list[str]:
        """Notes of all repeats, each once."""
        return list(dict.fromkeys(note for result in self.results for note in result.notes))

    @property
    def command(self) -> str:
        """Command that reproduces the report, without paths of this machine."""
        return command_line(self.recipe.name, self.config)

    def table(self) -> Table:
        """Return the table of claimed and measured values, with a row for each claim and each other metric."""
        table = Table(title=f"{self.recipe.name}: {self.recipe.paper.short()}", title_justify="left")
        for heading in self.columns:
            table.add_column(heading)
        for row in self.rows():
            table.add_row(*(escape(cell) for cell in row))
        return table

    def rows(self) -> list[tuple[str, ...]]:
        """Return the texts of the table: one row for each claim, and for each metric without a claim."""
        rows = []
        for name, measured in self.measured.items():
            claims: list[Claim | None] = [
                claim for claim in self.recipe.claims_for(self.config) if claim.metric == name
            ]
            rows += [self._row(name, measured, claim) for claim in claims or [None]]
        return rows

    def __repr__(self) -> str:
        numbers = ", ".join(f"{row[0]}={row[3]}" for row in self.rows())
        return f"<Report {self.recipe.name}: {numbers}; {self.data}>"

    def _row(self, name: str, measured: Measured, claim: Claim | None) -> tuple[str, ...]:
        if claim is None:
            return name, "-", "-", measured.text(self.recipe.units.get(name, "")), ""
        value = format_claimed(claim.value, claim.unit)
        return name, value, claim.where, measured.text(claim.unit), self._difference(measured, claim)

    def _difference(self, measured: Measured, claim: Claim) -> str:
        if isinstance(claim.value, str) or self.config.quick or not self.comparable:
            return ""
        difference = measured.mean - claim.value
        if abs(difference) <= claim.tolerance:
            return "equal"
        is_better = (difference < 0) == claim.lower_is_better
        return f"{abs(difference):.2g} {'better' if is_better else 'worse'}"

    def warnings(self) -> list[str]:
        """Return the reasons why the numbers are not comparable with the paper, if any."""
        texts = []
        if self.config.quick:
            texts.append(f"--quick: {SMOKE_RUN.upper()}. Leave out --quick for a result.")
        if not self.comparable:
            texts.append(f"STAND-IN DATA: {STAND_IN.upper()}. Ran on {self.data}")
        return texts

    def show(self) -> None:
        """Print the report, and write the figures to the run directory."""
        console().print(self.table(), soft_wrap=False)
        for warning in self.warnings():
            console().print(Panel(escape(warning), style="bold red"), soft_wrap=False)
        for line in self._lines():
            echo(line)
        if self.config.run_dir:
            for number, (caption, image) in enumerate(self.figures.items(), start=1):
                path = self.config.run_dir / f"figure{number}.png"
                files.atomic_write(path, image)
                echo(f"figure     {caption}: {path}")

    def _lines(self) -> list[str]:
        hardware, versions = machine.hardware(), machine.versions()
        lines = [
            f"{self.recipe.paper.kind:<10} {self.recipe.paper.cite()}",
            f"data       {self.data}",
            f"seeds      {', '.join(str(repeat.seed) for repeat in self.config.repeats())}",
            f"time       {format_duration(sum(self.seconds))}",
            f"hardware   {hardware['cpu']}, {hardware['cores']} cores, {hardware['memory']}, GPU {hardware['gpu']}",
            f"versions   {', '.join(f'{name} {version}' for name, version in versions.items())}",
            f"command    {self.command}",
        ]
        for claim in self.recipe.claims_for(self.config):
            setting = f"{claim.setting}; {claim.note}" if claim.note else claim.setting
            lines.append(f"claim      {claim.metric}, {claim.where}: {setting}")
        for number, text in self.recipe.deviations_for(self.config).items():
            lines.append(f"deviation {number}: {text}")
        return [*lines, *(f"note: {note}" for note in self.notes)]


def command_line(name: str, config: Settings) -> str:
    """Return the shortest command that results in a config, without paths of this machine."""
    factory = type(config).smoke if config.quick else type(config)
    settings = {key: value for key, value in _reported_settings(config).items() if key != "quick"}
    expected = plain_config(config)
    for setting in list(settings):
        others = {key: value for key, value in settings.items() if key != setting}
        if plain_config(factory(**others)) == expected:
            settings = others
    quick = ["--quick"] if config.quick else []
    return shlex.join(["deepkit", "run", name, *quick, *flags(type(config), settings)])


def flags(config: type[Settings], settings: Mapping[str, Any]) -> list[str]:
    """Return the command-line flags of some settings."""
    defaults = {setting.name: setting.default for setting in dataclasses.fields(config)}
    arguments: list[str] = []
    for name, value in settings.items():
        flag = name.replace("_", "-")
        if isinstance(value, bool) and isinstance(defaults[name], bool):
            arguments.append(f"--{flag}" if value else f"--no-{flag}")
        elif isinstance(value, tuple):
            arguments += [f"--{flag}", *map(str, value)]
        else:
            arguments += [f"--{flag}", str(value)]
    return arguments


def experiment_key(name: str, config: Settings, stand_in: str = "") -> str:
    """Return a key that identifies an experiment: the recipe and its settings, without `RUN_SETTINGS` and paths."""
    settings = [f"{key}={value}" for key, value in _reported_settings(config).items() if key not in RUN_SETTINGS]
    data = [f"data={stand_in}"] if stand_in else []
    return " ".join([name, *settings, *data])


def plain_config(config: Settings) -> dict[str, bool | int | float | str | None]:
    """Return a config as JSON values, without paths of this machine."""
    values: dict[str, bool | int | float | str | None] = {}
    for name, value in _reported_settings(config).items():
        values[name] = value if isinstance(value, bool | int | float | str | None) else str(value)
    return values


def _reported_settings(config: Settings) -> dict[str, Any]:
    """Return the settings by name without `PATH_SETTINGS`; another path is replaced by its name in capitals."""
    settings: dict[str, Any] = {}
    for name in (setting.name for setting in dataclasses.fields(config)):
        value = getattr(config, name)
        if name not in PATH_SETTINGS:
            settings[name] = name.upper() if isinstance(value, Path) else value
    return settings


def format_claimed(value: float | str, unit: str) -> str:
    """Return a claimed value with its unit; a text as it is."""
    return value if isinstance(value, str) else f"{value:,.10g} {unit}".rstrip()


def format_number(value: float) -> str:
    """Return a number with four significant digits, or all digits of an integer.

    >>> format_number(61706.0), format_number(0.82345)
    ('61,706', '0.8235')
    """
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:.4g}"


def png(figure: Figure) -> bytes:
    """Return a figure as a PNG image: gray if it has no colors, and without metadata that changes from run to run."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=100, bbox_inches="tight", metadata={"Software": None})
    with Image.open(buffer) as image:
        return _compressed(image.convert("RGB"))


def _compressed(image: Image.Image) -> bytes:
    red, green, blue = image.split()
    is_gray = red.tobytes() == green.tobytes() == blue.tobytes()
    buffer = io.BytesIO()
    (red if is_gray else image).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()
