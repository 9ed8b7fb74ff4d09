"""Recorded results: one generated JSON file, from which the table of the README and the documentation are rendered.

The file lies in the top folder of the recipes' package (`recipes/results.json`), and its images beside it in
`figures/`. Nobody edits it: `deepkit run NAME --record FILE` merges a result into it.

A record whose numbers a change of the code has made outdated has the key `stale` with the reason, which `mark_stale` or
`deepkit results --mark-stale FILE` writes. The README and the page show the reason until the result is recorded again.
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

from deepkit.recipe import discovery
from deepkit.recipe.contract import Result
from deepkit.recipe.curves import Curve
from deepkit.recipe.report import SMOKE_RUN, Measured, Report, experiment_key, plain_config, png
from deepkit.utils import files, machine
from deepkit.utils.errors import did_you_mean_or_list, format_value, message

if TYPE_CHECKING:
    from deepkit.recipe.contract import Claim, Recipe
    from deepkit.recipe.settings import Settings

FORMAT = 1

Record = dict[str, Any]


class ResultsError(ValueError):
    """The results file is damaged, the result must not be recorded, or a page is out of date."""


def load(path: Path) -> dict[str, Record]:
    """Return the recorded results by key; an empty mapping if the file does not exist.

    Raises:
        ResultsError: The file exists and is not a results file.
    """
    if not path.exists():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        file_format, records = content["format"], dict(content["results"])
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError, ValueError) as error:
        problem = f"{path} is not a results file ({type(error).__name__}: {error}); it is left unchanged"
        raise ResultsError(message(problem, hint="restore it from version control, or use another file")) from error
    if file_format != FORMAT:
        problem = f"{path} has format {format_value(file_format)}, expected format {FORMAT}"
        raise ResultsError(message(problem, hint="use a deepkit of the version that wrote it, or another file"))
    return records


def check_recordable(path: Path, *, quick: bool) -> None:
    """Raise before the training if its result cannot be recorded.

    Raises:
        ResultsError: The run is a smoke run, or the file is not a results file.
        OSError: The folder of the file cannot be written.
    """
    if quick:
        problem = f"--quick is a {SMOKE_RUN}, and is not recorded"
        raise ResultsError(message(problem, hint="leave out --quick or --record"))
    load(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    if not os.access(path.parent, os.W_OK) or (path.exists() and not os.access(path, os.W_OK)):
        problem = f"{path} cannot be written, so the result could not be recorded"
        raise PermissionError(message(problem, hint="make it writable, or pass another file to --record"))


def record(path: Path, report: Report, *, today: Callable[[], datetime.date] = datetime.date.today) -> Path:
    """Merge a report into a results file; it replaces an earlier result of the same experiment.

    Returns:
        The file.

    Raises:
        ResultsError: The run is a smoke run, or the file is not a results file.
    """
    check_recordable(path, quick=report.config.quick)
    key = experiment_key(report.recipe.name, report.config, "" if report.comparable else "stand-in")
    new_record = as_record(report, date=today().isoformat())
    for number, (caption, image) in enumerate(report.figures.items(), start=1):
        relative_path = _figure_path(report.recipe.name, key, number)
        files.atomic_write(path.parent / relative_path, image)
        new_record["figures"][caption] = relative_path
    _write(path, {**load(path), key: new_record})
    return path


def _figure_path(name: str, key: str, number: int) -> str:
    """Return the path of a figure of the record with a key, relative to the results file."""
    digest = hashlib.blake2b(key.encode(), digest_size=4).hexdigest()
    return f"figures/{name}-{digest}-{number}.png"


def _write(path: Path, records: Mapping[str, Record]) -> None:
    files.atomic_write(path, _json({"format": FORMAT, "results": dict(sorted(records.items()))}))


def _json(content: Mapping[str, Any]) -> str:
    """Return JSON with each list of numbers on one line, so that a diff shows one line per metric."""
    text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
    return re.sub(r"\[\n([^\[\]{}\"]*)\]", lambda match: f"[{' '.join(match[1].split())}]", text)


def as_record(report: Report, *, date: str) -> Record:
    """Return the record of a report, without its figures."""
    recipe, config = report.recipe, report.config
    return {
        "recipe": recipe.name,
        "command": report.command,
        "config": plain_config(config),
        "seeds": [repeat.seed for repeat in config.repeats()],
        "metrics": {name: _metric(measured) for name, measured in report.measured.items()},
        "data": report.data,
        "comparable": report.comparable,
        "notes": report.notes,
        "seconds": [round(seconds, 1) for seconds in report.seconds],
        "date": date,
        "hardware": machine.hardware(),
        "versions": machine.versions(),
        "figures": {},
        **_curves(report),
        **_declarations(recipe, config),
    }


def _curves(report: Report) -> Record:
    """Return the curves of each repeat by name, or an empty mapping if the recipe has none."""
    if not any(result.curves for result in report.results):
        return {}
    curves = [{name: curve.as_record() for name, curve in result.curves.items()} for result in report.results]
    return {"curves": curves}


def _declarations(recipe: Recipe, config: Settings) -> Record:
    """Return the part of a record that follows from the recipe and the config, not from the measurement."""
    return {
        "paper": recipe.paper.short(),
        "claims": [_claim(claim) for claim in recipe.claims_for(config)],
        "deviations": {str(number): text for number, text in recipe.deviations_for(config).items()},
        "units": recipe.units,
    }


def refresh(path: Path, parse_config: Callable[[Recipe, Sequence[str]], Settings]) -> list[str]:
    """Update paper, claims, deviations and units in all records from the recipes; measured values stay.

    Args:
        path: The results file.
        parse_config: Function that returns the config of a recipe from the flags of a recorded command.

    Returns:
        The commands of the records that changed.

    Raises:
        ResultsError: The file is not a results file.
        UnknownRecipe: The recipe of a record does not exist.
    """
    records, changed = load(path), []
    for recorded in records.values():
        recipe = discovery.entry(recorded["recipe"]).load()
        declarations = _declarations(recipe, parse_config(recipe, _recorded_flags(recorded)))
        if recorded != {**recorded, **declarations}:
            changed.append(recorded["command"])
            recorded.update(declarations)
    if changed:
        _write(path, records)
    return changed


def redraw(path: Path, names: Sequence[str], parse_config: Callable[[Recipe, Sequence[str]], Settings]) -> list[str]:
    """Draw the figures of recorded curves again, without training, with the current `draw_curves` of their recipes.

    Figures that need a trained model stay unchanged.

    Args:
        path: The results file; its images lie beside it.
        names: Names of recipes; empty for all.
        parse_config: Function that returns the config of a recipe from the flags of a recorded command.

    Returns:
        The captions of the figures that were drawn.

    Raises:
        ResultsError: The file is not a results file, or a name has no record.
        UnknownRecipe: The recipe of a record does not exist.
    """
    records = load(path)
    _check_names(path, records, names, keys=("recipe",))
    captions: list[str] = []
    for key, recorded in records.items():
        if names and recorded["recipe"] not in names:
            continue
        recipe = discovery.entry(recorded["recipe"]).load()
        if recipe.draw_curves is None:
            continue
        config = parse_config(recipe, _recorded_flags(recorded))
        for caption, figure in recipe.draw_curves(config, _recorded_results(recorded)).items():
            number = len(recorded["figures"]) + 1
            relative_path = recorded["figures"].setdefault(caption, _figure_path(recipe.name, key, number))
            files.atomic_write(path.parent / relative_path, png(figure))
            captions.append(caption)
    _write(path, records)
    return captions


def _recorded_flags(recorded: Record) -> list[str]:
    return shlex.split(recorded["command"])[len(("deepkit", "run", "NAME")) :]


def _recorded_results(recorded: Record) -> list[Result]:
    """Return the results of a record's repeats: their numbers and curves, without models."""
    curves = recorded.get("curves") or [{} for _ in recorded["seeds"]]
    results = []
    for repeat in range(len(recorded["seeds"])):
        measured = {
            name: metric["values"][repeat]
            for name, metric in recorded["metrics"].items()
            if len(metric["values"]) == len(recorded["seeds"])  # a metric of some repeats does not say of which
        }
        repeat_curves = {name: Curve.from_record(curve) for name, curve in curves[repeat].items()}
        data, comparable = recorded["data"], recorded["comparable"]
        results.append(Result(measured=measured, curves=repeat_curves, data=data, comparable=comparable))
    return results


def mark_stale(path: Path, names: Sequence[str], reason: str) -> list[str]:
    """Mark recorded results as outdated by a change of the code; their numbers stay until they are recorded again.

    Args:
        path: The results file.
        names: Names of recipes, for all their results, or recorded commands.
        reason: Difference between the recorded run and the current code, such as "recorded with another optimizer".

    Returns:
        The commands of the records that were marked.

    Raises:
        ResultsError: There is no reason or no name, a name has no record, or the file is not a results file.
    """
    reason = reason.strip().rstrip(".")
    if not reason:
        problem = "a stale result needs a reason, received an empty one"
        raise ResultsError(message(problem, hint='use --reason "recorded with another optimizer"'))
    if not names:
        raise ResultsError(message("expected results to mark as stale, received none", hint="use --records lenet"))
    records = load(path)
    _check_names(path, records, names, keys=("recipe", "command"))
    marked = [record for record in records.values() if {record["recipe"], record["command"]} & set(names)]
    for record in marked:
        record["stale"] = reason
    _write(path, records)
    return [record["command"] for record in marked]


def _check_names(path: Path, records: Mapping[str, Record], names: Sequence[str], *, keys: Sequence[str]) -> None:
    """Raise a ResultsError if no record has one of the names as the value of a key."""
    choices = {record[key] for record in records.values() for key in keys}
    for name in names:
        if name not in choices:
            suggestion = did_you_mean_or_list(name, sorted(choices), listing="it has")
            problem = f"{path} has no result of {format_value(name)}{suggestion}"
            allowed = " or ".join(
                {"recipe": "the name of a recipe", "command": "a recorded command"}[key] for key in keys
            )
            raise ResultsError(message(problem, hint=f"use {allowed}"))


def _metric(measured: Measured) -> Record:
    return {"values": list(measured.values), "mean": measured.mean, "std": measured.std}


def _claim(claim: Claim) -> Record:
    names = ("metric", "value", "unit", "where", "setting", "lower_is_better", "note")
    return {name: getattr(claim, name) for name in names}


def results_file(module: str) -> Path:
    """Return the path of the results file of a recipe's package; the file may not exist."""
    return discovery.package_folder(module) / "results.json"
