"""What a run of a recipe brought: the claimed beside the measured, for a terminal and for the results file."""

from __future__ import annotations

import dataclasses
import io
import math
import shlex
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.markup import escape
from rich.panel import Panel
from rich.table import Table

from deepkit.utils import files as _files
from deepkit.utils import machine
from deepkit.utils.console import console, echo

if TYPE_CHECKING:
    from deepkit.recipe.contract import Claim, Recipe, Result, Settings

QUICK = "smoke run, not a result"
STAND_IN = "not comparable with the paper"
PLACES = ("run_dir", "data_dir", "record")  # where things lie: never part of what was measured
REPEATS = (
    "seed",
    "seeds",
    "devices",
    "jit_compile",
    "measure",
    "quick",
)  # how it was measured: not which experiment it is


@dataclass(frozen=True)
class Measured:
    """One metric over all seeds.

    >>> Measured((0.80, 0.84, 0.85)).text("%")
    '0.830 ± 0.026 %'
    >>> Measured((1.0, 0.0, 1.0)).text()
    '2 of 3'
    """

    values: tuple[float, ...]

    @property
    def mean(self) -> float:
        """Mean over the seeds."""
        return statistics.fmean(self.values)

    @property
    def std(self) -> float | None:
        """Sample standard deviation over the seeds; None for a single one."""
        return statistics.stdev(self.values) if len(self.values) > 1 else None

    def text(self, unit: str = "") -> str:
        """Return mean and spread to the digits that mean something; yes-or-no metrics as a count."""
        if len(self.values) > 1 and set(self.values) <= {0.0, 1.0}:
            return f"{sum(self.values):.0f} of {len(self.values)}"
        if self.std and math.isfinite(self.std):
            digits = min(max(1 - math.floor(math.log10(self.std)), 0), 6)
            number = f"{self.mean:,.{digits}f} ± {self.std:,.{digits}f}"
        else:
            number = figure(self.mean) + (" ± 0" if self.std is not None else "")
        return f"{number} {unit}".rstrip()


@dataclass(frozen=True)
class Report:
    """The result of one command: every number with what is needed to judge it."""

    recipe: Recipe
    config: Settings
    outcomes: tuple[Result, ...]
    seconds: tuple[float, ...]
    pictures: Mapping[str, bytes] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, recipe: Recipe, config: Settings, outcomes: Sequence[Result], seconds: Sequence[float]) -> Report:
        """Return the report of finished repeats; its pictures are drawn where they will be kept."""
        report = cls(recipe, config, tuple(outcomes), tuple(seconds))
        if not (config.run_dir or config.record):
            return report
        pictures = {name: path.read_bytes() for name, path in outcomes[0].pictures.items() if path.exists()}
        figures = recipe.draw(config, outcomes) if recipe.draw else {}
        pictures |= {name: _png(figure) for name, figure in figures.items()}
        return dataclasses.replace(report, pictures=pictures)

    @property
    def measured(self) -> dict[str, Measured]:
        """Every metric over the seeds, in the order in which the recipe gave them."""
        names = dict.fromkeys(name for outcome in self.outcomes for name in outcome.measured)
        return {n: Measured(tuple(float(o.measured[n]) for o in self.outcomes if n in o.measured)) for n in names}

    @property
    def comparable(self) -> bool:
        """Whether every repeat ran on the paper's data."""
        return all(outcome.comparable for outcome in self.outcomes)

    @property
    def data(self) -> str:
        """What the repeats ran on, in words."""
        return "; ".join(dict.fromkeys(outcome.data for outcome in self.outcomes))

    @property
    def command(self) -> str:
        """The command that gives this result again, without this machine's paths."""
        return command(self.recipe.name, self.config)

    def table(self) -> Table:
        """Return claimed beside measured; a metric without a claim stands alone."""
        table = Table(title=f"{self.recipe.name}: {self.recipe.paper.short()}", title_justify="left")
        for heading in ("metric", "claimed", "where", "measured", "difference"):
            table.add_column(heading)
        for name, measured in self.measured.items():
            claims: list[Claim | None] = [c for c in self.recipe.claims_for(self.config) if c.metric == name]
            for claim in claims or [None]:
                table.add_row(*(escape(cell) for cell in self._row(name, measured, claim)))
        return table

    def _row(self, name: str, measured: Measured, claim: Claim | None) -> tuple[str, ...]:
        if claim is None:
            return name, "-", "-", measured.text(self.recipe.units.get(name, "")), ""
        value = claim.value if isinstance(claim.value, str) else f"{claim.value:g} {claim.unit}".rstrip()
        return name, value, claim.where, measured.text(claim.unit), self._difference(measured, claim)

    def _difference(self, measured: Measured, claim: Claim) -> str:
        if isinstance(claim.value, str) or self.config.quick or not self.comparable:
            return ""
        gap = measured.mean - claim.value
        if math.isclose(gap, 0.0, abs_tol=1e-9):
            return "equal"
        return f"{abs(gap):.2g} {'better' if (gap < 0) == claim.lower_is_better else 'worse'}"

    def warnings(self) -> list[str]:
        """Return why these numbers are not a result, where they are not; in capitals, for all to see."""
        texts = []
        if self.config.quick:
            texts.append(f"--quick: {QUICK.upper()}. Leave --quick out for the real one.")
        if not self.comparable:
            texts.append(f"STAND-IN DATA: {STAND_IN.upper()}. Ran on {self.data}")
        return texts

    def show(self) -> None:
        """Print the result for a person, and keep the recipe's pictures in the run folder."""
        console().print(self.table(), soft_wrap=False)
        for warning in self.warnings():
            console().print(Panel(escape(warning), style="bold red"), soft_wrap=False)
        for line in self._lines():
            echo(line)
        if self.config.run_dir:
            for number, (caption, picture) in enumerate(self.pictures.items(), start=1):
                path = self.config.run_dir / f"picture{number}.png"
                _files.write(path, picture)
                echo(f"picture    {caption}: {path}")

    def _lines(self) -> list[str]:
        hardware, versions = machine.hardware(), machine.versions()
        lines = [
            f"paper      {self.recipe.paper.cite()}",
            f"data       {self.data}",
            f"seeds      {', '.join(str(repeat.seed) for repeat in self.config.repeats())}",
            f"time       {duration(sum(self.seconds))}",
            f"hardware   {hardware['cpu']}, {hardware['cores']} cores, {hardware['memory']}, GPU {hardware['gpu']}",
            f"versions   {', '.join(f'{name} {version}' for name, version in versions.items())}",
            f"command    {self.command}",
        ]
        for claim in self.recipe.claims_for(self.config):
            about = f"{claim.setting}; {claim.note}" if claim.note else claim.setting
            lines.append(f"claim      {claim.metric}, {claim.where}: {about}")
        for number, text in self.recipe.deviations_for(self.config).items():
            lines.append(f"deviation {number}: {text}")
        notes = dict.fromkeys(note for outcome in self.outcomes for note in outcome.notes)
        return [*lines, *(f"note: {note}" for note in notes)]


def command(name: str, config: Settings) -> str:
    """Return the command line of a config: only what must be said to get it, and no paths of this machine."""
    make = type(config).smoke if config.quick else type(config)
    said = {name: value for name, value in _said(config).items() if name != "quick"}
    wanted = plain(config)
    for field_name in list(said):
        rest = {name: value for name, value in said.items() if name != field_name}
        if plain(make(**rest)) == wanted:
            said = rest
    return shlex.join(["deepkit", "run", name, *(["--quick"] if config.quick else []), *flags(type(config), said)])


def flags(config: type[Settings], values: Mapping[str, Any]) -> list[str]:
    """Return field values as the flags that give them."""
    usual = {f.name: f.default for f in dataclasses.fields(config)}
    words = []
    for name, value in values.items():
        flag = name.replace("_", "-")
        if isinstance(value, bool) and isinstance(usual[name], bool):
            words.append(f"--{flag}" if value else f"--no-{flag}")
        else:
            words += [f"--{flag}", *(str(part) for part in (value if isinstance(value, tuple) else (value,)))]
    return words


def key(name: str, config: Settings, stand_in: str = "") -> str:
    """Return what tells one experiment from another: the recipe and the settings that matter.

    Seeds, paths and devices say how an experiment was run, not which one it is.
    """
    parts = [f"{name}={value}" for name, value in _said(config).items() if name not in REPEATS]
    return " ".join([name, *parts, *([f"data={stand_in}"] if stand_in else [])])


def plain(config: Settings) -> dict[str, Any]:
    """Return a config as JSON can hold it, without this machine's paths."""
    return {k: v if isinstance(v, bool | int | float | str | None) else str(v) for k, v in _said(config).items()}


def _said(config: Settings) -> dict[str, Any]:
    """Return the settings that say what was done; of data in a folder of the user's only that it was given."""
    values = {f.name: getattr(config, f.name) for f in dataclasses.fields(config) if f.name not in PLACES}
    return {name: name.upper() if isinstance(value, Path) else value for name, value in values.items()}


def figure(value: float) -> str:
    """Return a number to four digits, or all of them where it is a whole number.

    >>> figure(61706.0), figure(0.82345)
    ('61,706', '0.8235')
    """
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:.4g}"


def duration(seconds: float) -> str:
    """Return a time as people say it.

    >>> duration(75)
    '1 min 15 s'
    """
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def _png(figure: Any) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=100, bbox_inches="tight", metadata={"Software": None})
    return buffer.getvalue()
