"""Measuring: the real model takes a few real steps under each candidate, and the fastest that trains the same is kept.

Greedily, field by field, so that few programs are compiled: precision, then XLA, then steps per execution, each under
what was taken before it. Until their turn comes, the steps per execution are 1.
"""

from __future__ import annotations

import dataclasses
import gc
import json
import random
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import keras

from deepkit.execution import choices
from deepkit.execution.plan import Measurement, Plan, _short
from deepkit.training.benchmark import MARGIN, Bench, Candidate, words
from deepkit.training.describe import fresh_copy, largest_divisor
from deepkit.training.errors import RunDirError
from deepkit.training.run_dir import RunDir
from deepkit.training.training_data import TrainingData
from deepkit.utils.console import echo

FILE = "measurements.json"
HEADINGS = ("field", "candidate", "ms a step", "spread", "loss", "verdict")
_PRECISIONS = {"CPU": ("float32", "mixed_bfloat16"), "GPU": ("float32", "mixed_bfloat16", "mixed_float16")}
_MORE = 4  # times the default steps per execution are tried too, at most
_SLOW = 200.0  # milliseconds a step, above which the one between two steps does not count


def settle(
    net: Any, feed: TrainingData, plan: Plan, compiled: Mapping[str, Any], folder: RunDir | None, verbose: int | str
) -> tuple[Plan, tuple[Measurement, ...]]:
    """Return the plan with nothing left to measure, and what was measured for it just now.

    A run that has begun keeps its choices: measured anew they might be others, and it would be another run.

    Args:
        net: What `fit` was given.
        feed: The data of the run.
        plan: The plan in force.
        compiled: What `fit` got of `optimizer`, `loss`, `loss_weights` and `metrics`.
        folder: The run directory, held; or None.
        verbose: 0 for silence.

    Raises:
        ValueError: The definition cannot be built and compiled so, with any choice.
        RunDirError: What was measured cannot be written, or the config in the folder not be read.
    """
    why_not = _why_not(net, plan, compiled)
    if why_not:
        return _closed(plan, why_not), ()
    begun = {} if folder is None else folder.config().get("plan", {})
    if begun:
        return _as_begun(plan, begun, folder), ()
    search = _Search(plan, Bench(net, feed, compiled), feed.steps, verbose)
    settled = search.settled()
    if folder is not None:
        with folder.convert_disk_errors("nothing was trained"):
            folder.write(FILE, json.dumps([dataclasses.asdict(row) for row in search.rows], indent=1) + "\n")
    return settled, tuple(search.rows)


def load(folder: RunDir) -> tuple[Measurement, ...]:
    """Return what was measured when the run in a folder began, if something was.

    Raises:
        RunDirError: The file is damaged.
    """
    path = folder.path / FILE
    if not path.exists():
        return ()
    try:
        rows = [Measurement(**row) for row in json.loads(path.read_text(encoding="utf-8"))]
    except (ValueError, TypeError) as error:
        raise RunDirError(
            f"run_dir: {path} is damaged ({error})\n  hint: moving it away; the report shows it"
        ) from error
    return tuple(replace(row, spread=(row.spread[0], row.spread[1]) if row.spread else None) for row in rows)


def _as_begun(plan: Plan, begun: Mapping[str, Any], folder: RunDir | None) -> Plan:
    """Return the plan with the choices of the run that is in the folder."""
    kept = {name: begun[name] for name in plan.undecided if name in begun}
    measured = folder is not None and (folder.path / FILE).exists()
    reason = "as measured when the run began" if measured else "as when the run began, without measuring"
    return _closed(plan.replace(reason=reason, **kept), "not again: the run has begun")


def _why_not(net: Any, plan: Plan, compiled: Mapping[str, Any]) -> str | None:
    """Return why there is nothing to measure, or None."""
    if isinstance(net, keras.Model):
        return "nothing to measure: the model came compiled"
    if not plan.undecided:
        return "nothing was open"
    optimizer = compiled["optimizer"]
    if isinstance(optimizer, keras.optimizers.Optimizer) and fresh_copy(optimizer) is optimizer:
        name = type(optimizer).__name__
        return f"nothing was measured: {name} has no config to make a fresh one from, and trials would use it up"
    return None


def _closed(plan: Plan, why: str) -> Plan:
    return plan.replace(reason=why, measure=False, undecided=())


class _Search:
    """Goes through what a plan leaves undecided.

    Args:
        plan: The plan.
        bench: Where candidates are compared.
        epoch: Steps of an epoch, where known.
        verbose: 0 for silence.
    """

    def __init__(self, plan: Plan, bench: Bench, epoch: int | None, verbose: int | str) -> None:
        self.rows: list[Measurement] = []
        self._asked, self._bench, self._epoch, self._verbose = plan, bench, epoch, verbose
        seed = random.randrange(2**32) if plan.seed is None else plan.seed
        self._best = Candidate(None, replace(plan, measure=False, undecided=(), seed=seed))

    def settled(self) -> Plan:
        """Measure, and return the plan that comes of it."""
        fields = [name for name in self._asked.undecided if self._is_open(name)]
        if not fields:
            return _closed(self._asked, "nothing was open")
        if self._verbose:
            echo(f"measuring {', '.join(fields)}, which can take a minute or two")
        if "steps_per_execution" in fields:
            self._best.plan = replace(self._best.plan, steps_per_execution=1)
        found = self._asked
        try:
            self._best.trial = self._bench.trial(self._best.plan)  # what is wrong with the call itself is raised here
            self._best.plan = self._best.trial.plan
            for name in fields:
                found = self._compare(name, found)
        finally:
            self._best.trial = None
            gc.collect()
        if found.seed is None:
            keras.utils.set_random_seed(self._best.plan.seed)
        return _closed(found, "done: this run began with it")

    def _is_open(self, name: str) -> bool:
        why_not = choices.forbidden(name, self._asked.devices, self._asked.deterministic)
        if why_not:
            self._note(Measurement(name, "", verdict=f"not measured: {why_not}"))
        return not why_not

    def _compare(self, name: str, found: Plan) -> Plan:
        """Measure one field; return the plan so far with what was found."""
        values, why_not = self._values(name)
        if why_not:
            self._note(Measurement(name, "", verdict=f"not measured: {why_not}"))
            return found
        candidates = [self._candidate(name, value) for value in values]
        plainest = {"precision": "float32", "steps_per_execution": 1}.get(name, values[0])
        reference = next(candidate for candidate in candidates if candidate.value == plainest)
        best = self._bench.compare(candidates, reference)
        for candidate in candidates:
            self._note(_row(name, candidate, best, kept=best is candidates[0]))
            candidate.trial = candidate.trial if candidate is best else None
        self._best = best
        gc.collect()  # a model holds itself; on a GPU its memory is wanted now
        return found.replace(reason=_reason(best, candidates), **{name: best.value})

    def _candidate(self, name: str, value: Any) -> Candidate:
        candidate = Candidate(value, replace(self._best.plan, **{name: value}))
        if candidate.plan == self._best.plan:
            candidate.trial, self._best.trial = self._best.trial, None
        return candidate

    def _values(self, name: str) -> tuple[list[Any], str | None]:
        """Return the values to compare, the choice so far first; or why there are not several."""
        plan = self._asked
        if name == "precision":
            others = _PRECISIONS[plan.devices[0][:3]]
            return list(dict.fromkeys([plan.precision, *others])), None
        if name == "jit_compile":
            left_out = plan.jit_compile and not self._best.plan.jit_compile
            return [plan.jit_compile, not plan.jit_compile], dict(self._best.plan.reasons)[name] if left_out else None
        slow = self._best.milliseconds
        if slow is not None and slow > _SLOW:
            return [], f"at {_short(slow)} ms a step, the way back to Python does not count"
        counts = self._step_counts()
        return counts, None if len(counts) > 1 else f"only 1 divides the {self._epoch} steps of an epoch"

    def _step_counts(self) -> list[int]:
        default = self._asked.steps_per_execution
        if self._epoch is None:
            return [default, 1]
        fits = largest_divisor(self._epoch, default)
        return list(dict.fromkeys([fits, 1, largest_divisor(self._epoch, _MORE * default, multiple_of=fits)]))

    def _note(self, row: Measurement) -> None:
        self.rows.append(row)
        if self._verbose:
            echo(f"  {row}")


def _row(name: str, candidate: Candidate, best: Candidate, *, kept: bool) -> Measurement:
    seconds = candidate.seconds
    spread = (1e3 * min(seconds), 1e3 * max(seconds)) if len(seconds) > 1 else None
    verdict = _verdict(candidate, best, kept)
    return Measurement(name, words(candidate.value), candidate.milliseconds, spread, candidate.loss, verdict)


def _verdict(candidate: Candidate, best: Candidate, kept: bool) -> str:
    if candidate.out:
        return f"{candidate.out}; kept, as nothing else can be taken" if candidate is best else candidate.out
    if candidate is best:
        return "kept" if kept else "taken"
    mine, its = candidate.milliseconds, best.milliseconds
    change = mine / its - 1 if mine and its else 0.0
    if change > MARGIN:
        return f"takes {change:.0%} longer"
    if change < -MARGIN:
        return f"takes {-change:.0%} less, but not in every round"
    return f"no different by more than {MARGIN:.0%}, which is noise"


def _reason(best: Candidate, candidates: list[Candidate]) -> str:
    """Return in words why the best one is."""
    if best.milliseconds is None or best.out:
        return f"could not be measured: {best.out}"
    others = [_beside(candidate) for candidate in candidates if candidate is not best]
    return ", ".join([f"measured: {_short(best.milliseconds)} ms a step", *others])


def _beside(candidate: Candidate) -> str:
    took = candidate.milliseconds
    return f"{words(candidate.value)} " + (candidate.out.partition(":")[0] if took is None else f"{_short(took)} ms")
