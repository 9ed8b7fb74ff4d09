"""Recorded results: one generated JSON file, from which `deepkit.results_pages` renders README and docs.

The file lies in the top folder of the package that the recipes are in (`recipes/results.json`); its pictures in
`pictures/` beside it. Nobody edits it: `deepkit run NAME --record FILE` merges a result into it.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import os
import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deepkit.recipe import discovery as catalogue
from deepkit.recipe.report import QUICK, Measured, Report, key, plain
from deepkit.utils import files as _files
from deepkit.utils import machine

if TYPE_CHECKING:
    from deepkit.recipe.contract import Claim, Recipe, Settings

FORMAT = 1

Record = dict[str, Any]


class ResultsError(ValueError):
    """A results file that is not one, a result that must not be recorded, or a page that is out of date."""


def load(path: Path) -> dict[str, Record]:
    """Return the recorded results by key; none where there is no such file.

    Raises:
        ResultsError: If the file is there and is not a results file.
    """
    if not path.exists():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["format"] != FORMAT:
            raise ResultsError(f"{path} has format {content['format']!r}, this deepkit reads format {FORMAT}")
        return dict(content["results"])
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError) as error:
        raise ResultsError(
            f"{path} is not a results file ({type(error).__name__}: {error}); it is left as it is.\n"
            "  hint: restoring it from version control, or another file"
        ) from error


def check_recordable(path: Path, *, quick: bool) -> None:
    """Raise now if a result could not be recorded later.

    Raises:
        ResultsError: If the run is a smoke run, or the file is not a results file.
        OSError: If the file's folder cannot be written.
    """
    if quick:
        raise ResultsError(f"--quick is a {QUICK}, and is not recorded; leave out --quick or --record")
    load(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    if not os.access(path.parent, os.W_OK) or (path.exists() and not os.access(path, os.W_OK)):
        raise PermissionError(f"{path} cannot be written, so the result could not be recorded")


def record(path: Path, report: Report, *, today: Callable[[], datetime.date] = datetime.date.today) -> Path:
    """Merge a report into a results file, in the place of an earlier result of the same experiment.

    Returns:
        The file.

    Raises:
        ResultsError: If the run was a smoke run, or the file is not a results file.
    """
    check_recordable(path, quick=report.config.quick)
    name = key(report.recipe.name, report.config, "" if report.comparable else "stand-in")
    entry = as_record(report, date=today().isoformat())
    digest = hashlib.blake2b(name.encode(), digest_size=4).hexdigest()
    for number, (caption, picture) in enumerate(report.pictures.items(), start=1):
        relative = f"pictures/{report.recipe.name}-{digest}-{number}.png"
        _files.write(path.parent / relative, picture)
        entry["pictures"][caption] = relative
    every = {**load(path), name: entry}
    _write(path, every)
    return path


def _write(path: Path, every: Mapping[str, Record]) -> None:
    _files.write(path, _json({"format": FORMAT, "results": dict(sorted(every.items()))}))


def _json(content: Mapping[str, Any]) -> str:
    """Return JSON with a list of numbers on one line, so that a diff shows one line a metric."""
    text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
    return re.sub(r"\[\n([^\[\]{}\"]*)\]", lambda found: f"[{' '.join(found[1].split())}]", text)


def as_record(report: Report, *, date: str) -> Record:
    """Return what the results file keeps of a report."""
    recipe, config = report.recipe, report.config
    return {
        "recipe": recipe.name,
        "command": report.command,
        "config": plain(config),
        "seeds": [repeat.seed for repeat in config.repeats()],
        "metrics": {name: _metric(measured) for name, measured in report.measured.items()},
        "data": report.data,
        "comparable": report.comparable,
        "notes": list(dict.fromkeys(note for outcome in report.outcomes for note in outcome.notes)),
        "seconds": [round(seconds, 1) for seconds in report.seconds],
        "date": date,
        "hardware": machine.hardware(),
        "versions": machine.versions(),
        "pictures": {},
        **_said(recipe, config),
    }


def _said(recipe: Recipe, config: Settings) -> Record:
    """Return what a recipe says about a run under `config`, whatever was measured."""
    return {
        "paper": recipe.paper.short(),
        "claims": [_claim(claim) for claim in recipe.claims_for(config)],
        "deviations": {str(n): text for n, text in recipe.deviations_for(config).items()},
        "units": recipe.units,
    }


def refresh(path: Path, config_of: Callable[[Recipe, Sequence[str]], Settings]) -> list[str]:
    """Bring what the recipes say of their recorded results up to date; what was measured stays as it is.

    Args:
        path: The results file.
        config_of: From a recipe and the flags of a recorded command to the config.

    Returns:
        The commands of the results that had other words.

    Raises:
        ResultsError: If the file is not a results file.
        UnknownRecipe: If a recipe is no longer there.
    """
    every, changed = load(path), []
    for r in every.values():
        recipe = catalogue.entry(r["recipe"]).load()
        flags = shlex.split(r["command"])[len(("deepkit", "run", "NAME")) :]
        said = _said(recipe, config_of(recipe, flags))
        if r != {**r, **said}:
            changed.append(r["command"])
            r.update(said)
    if changed:
        _write(path, every)
    return changed


def _metric(measured: Measured) -> Record:
    return {"values": list(measured.values), "mean": measured.mean, "std": measured.std}


def _claim(claim: Claim) -> Record:
    names = ("metric", "value", "unit", "where", "setting", "lower_is_better", "note")
    return {name: getattr(claim, name) for name in names}


def file_of(module: str) -> Path:
    """Return where the results of a recipe's package lie; the file need not be there."""
    return catalogue.home(module) / "results.json"
