"""The page of the documentation with the recorded runs of the GPU benchmark."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from statistics import median

from benchmarks.gpu_records import Check, Choice, DeviceTime, KernelShare, PartResult, Run, StepTime

COMMENT = "<!-- Written by `python -m benchmarks.gpu` from benchmarks/gpu_results.json. Do not edit. -->"
TITLE = """\
# Benchmarks on a GPU

`make bench-gpu` checks deepkit on a GPU against the CPU, and measures training steps there. It has five minutes: a part
that needs more time than is left is skipped, and the page says so.

1. **Checks.** Every block and layer runs on the GPU and on the CPU with the same weights, in float32 and in the mixed
   precision of the plan. Outputs and gradients must agree.
2. **Choices.** The choices of [`dk.plan`](api/execution.md#deepkit.plan) for the GPU are compared with those of
   [`dk.autotune`](api/training.md#deepkit.autotune), which measures.
3. **Kernels.** How much of the step of a small network is spent outside the kernels of the GPU?
4. **Devices.** A step on all GPUs of the machine is compared with a step on one.
5. **Steps.** A training step of five networks built by deepkit is compared with the same network written by hand in
   Keras, and in PyTorch if it is installed.
"""
NO_GPU = """\
**No GPU has been measured yet.** There are no results of a GPU on this page.
"""
DRY = """\
## Dry run

Without a GPU the command runs dry: it compares the CPU with the CPU on tiny networks, to show that the benchmark itself
works. This says nothing about a GPU, and the times mean nothing: none is shown.
"""
LEGEND = """\
A dot is a case: blue within its tolerance, which is the gray dash, and orange above it.
"""
COMMANDS = """\
## Run it

```console
$ make bench-gpu                            # with TensorFlow and CUDA
$ python -m benchmarks.gpu --dry            # on the CPU in any case
$ KERAS_BACKEND=jax python -m benchmarks.gpu --results gpu.json
```

The last command needs JAX and Keras, but not TensorFlow: deepkit's definitions build on any backend of Keras. The
choices and the devices are left out there, because `dk.fit` needs TensorFlow, and so are the cases that Keras cannot
run on JAX. `--results` writes the results to a file; `python -m benchmarks.gpu --page` writes this page from
`benchmarks/gpu_results.json`. The exit code is 1 if a check fails.
"""
METHOD = """\
## Method

- **Deviation**: the norm of the difference from the CPU, relative to the norm of the CPU's array; the largest over all
  outputs, or over the gradients with respect to the weights and the inputs. The reference is computed in a process that
  sees no GPU, and the GPU receives its weights.
- **Tolerance**: 1e-4 in float32, where products are computed in float32 and not in the GPU's TF32. In 16 bits it is
  0.05, or twice the deviation of the CPU's own gradients from those in float32, at most 0.5: a rounding that moves a
  maximum or the zero of a ReLU sends a gradient elsewhere.
- **Steps**: `train_on_batch` with Adam on a batch on the GPU, in float32 (TF32), without XLA in TensorFlow; the step of
  PyTorch is eager. Each step waits for its loss. Sides take turns for nine rounds; PyTorch runs in its own process.
- **Outside kernels**: LeNet-5 takes steps on growing batches. The two largest give the milliseconds that the kernels
  need for an example; what a step of 128 examples takes beyond them is Python, launches and waiting. A kernel that does
  not fill the GPU counts as waiting.
"""
DEVIATIONS = ("| precision | checks | largest deviation of outputs | of gradients |", "|---|---|---|---|")
ORDER = ("tensorflow", "jax")
BACKENDS = {"tensorflow": "TensorFlow", "jax": "JAX"}


def render(runs: Mapping[str, Run]) -> str:
    """Return the page as Markdown: a section for each backend, or the dry run if no GPU was measured."""
    measured = [runs[name] for name in ORDER if name in runs]
    lines = [COMMENT, "", TITLE]
    for run in measured:
        lines += _section(run)
    if not measured:
        lines += [NO_GPU]
        lines += _dry_section(runs["dry"]) if "dry" in runs else []
    return "\n".join([*lines, COMMANDS, METHOD])


def summary(run: Run) -> str:
    """Return the result of the checks and the names of the failed ones."""
    checks = run.rows("checks")
    failed = [check for check in checks if check.verdict() == "failed"]
    lines = [f"{check.case} in {check.precision}: {_failure(check)}" for check in failed]
    place = f"on {', '.join(run.gpus)}" if run.gpus else "dry: the CPU was compared with the CPU, no GPU is measured"
    return "\n".join([*lines, f"{len(checks)} checks, {len(failed)} failed; {place}"])


def part_summary(result: PartResult) -> str:
    """Return the result of a part in one line."""
    if result.problem:
        return result.problem
    if result.name == "checks":
        counts = [sum(check.verdict() == verdict for check in result.rows) for verdict in ("failed", "unsupported")]
        return f"{len(result.rows)} checks, {counts[0]} failed, {counts[1]} unsupported"
    return "1 row" if len(result.rows) == 1 else f"{len(result.rows)} rows"


def chart_path(run: Run, name: str) -> str:
    """Return the path of a chart of a run, relative to the folder of the documentation."""
    return f"figures/gpu-{run.name}-{name}.svg"


def measured_steps(run: Run) -> dict[str, dict[str, StepTime]]:
    """Return the measured step times by net and side."""
    nets: dict[str, dict[str, StepTime]] = {}
    for row in run.rows("steps"):
        if row.milliseconds:
            nets.setdefault(row.net, {})[row.side] = row
    return nets


def _section(run: Run) -> list[str]:
    """Return the section of a run on a GPU."""
    names = f"{len(run.gpus)} x {run.gpus[0]}" if len(run.gpus) > 1 else run.gpus[0]
    lines = [f"## {BACKENDS[run.backend]} on {names}\n", "### Checks\n", *_checks(run)]
    lines += [*_choices(run), *_kernels(run), *_devices(run), *_steps(run)]
    return [*lines, *_machine(run)]


def _dry_section(run: Run) -> list[str]:
    parts = [_cells("part", "result"), "|---|---|"]
    parts += [_cells(part.name, part_summary(part)) for part in run.parts if part.name != "checks"]
    return [DRY, *_check_table(run), "", *parts, "", *_machine(run)]


def _checks(run: Run) -> list[str]:
    checks = run.rows("checks")
    compared = [check for check in checks if check.outputs is not None]
    lines = _part_problem(run, "checks")
    if compared:
        alt_text = f"The deviations of {len(compared)} checks from the CPU, with their tolerances."
        lines += [f"![{alt_text}]({chart_path(run, 'checks')}){{ .cell-figure }}\n", LEGEND]
    return [*lines, *_check_table(run), ""]


def _check_table(run: Run) -> list[str]:
    """Return the counts of the checks by precision, and each check that failed or is unsupported."""
    checks: list[Check] = run.rows("checks")
    lines = list(DEVIATIONS)
    for precision in dict.fromkeys(check.precision for check in checks):
        group = [check for check in checks if check.precision == precision]
        counts = Counter(check.verdict() for check in group)
        text = ", ".join(f"{count} {verdict}" for verdict, count in counts.items())
        outputs = _largest((check.outputs, check.case) for check in group)
        gradients = _largest((check.gradients, check.case) for check in group)
        lines.append(_cells(precision, text, outputs, gradients))
    failed = [check for check in checks if check.verdict() == "failed"]
    if failed:
        lines += ["", "These checks failed:", ""]
        lines += [f"- `{check.case}` in {check.precision}: {_failure(check)}" for check in failed]
    unsupported = {check.case: check.problem for check in checks if check.verdict() == "unsupported"}
    if unsupported:
        items = [f"- `{case}`: {problem}" for case, problem in unsupported.items()]
        lines += ["", *_collapsed(f"Cases that Keras cannot run on {BACKENDS[run.backend]}", items)]
    return lines


def _largest(deviations: Iterable[tuple[float | None, str]]) -> str:
    """Return the largest deviation with its case."""
    pairs = [(deviation, case) for deviation, case in deviations if deviation is not None]
    if not pairs:
        return ""
    deviation, case = max(pairs)
    return f"{deviation:.1e} (`{case}`)" if deviation else "0"


def _failure(check: Check) -> str:
    """Return the deviations that exceed their tolerances, or the error."""
    if check.problem:
        return check.problem
    triples = [
        ("outputs", check.outputs, check.outputs_tolerance),
        ("gradients", check.gradients, check.gradients_tolerance),
    ]
    return ", ".join(
        f"{name} deviate by {deviation:.2g}, tolerance {tolerance:.2g}"
        for name, deviation, tolerance in triples
        if deviation is not None and not deviation <= tolerance
    )


def _choices(run: Run) -> list[str]:
    rows: list[Choice] = run.rows("choices")
    lines = ["### Choices of the plan\n", *_part_problem(run, "choices")]
    if not rows:
        return lines
    lines += ["| field | `dk.plan` | `dk.autotune` | milliseconds a step |", "|---|---|---|---|"]
    for row in rows:
        times = ", ".join(f"{value}: {_number(milliseconds)}" for value, milliseconds in row.milliseconds.items())
        lines.append(_cells(f"{row.net}, {row.field}", row.planned, row.measured, times or row.note))
    num_equal = sum(row.planned == row.measured for row in rows if not row.note)
    num_measured = sum(not row.note for row in rows)
    return [*lines, "", f"The plan chose as `dk.autotune` did in {num_equal} of {num_measured} measured fields.\n"]


def _kernels(run: Run) -> list[str]:
    lines = ["### Outside kernels\n", *_part_problem(run, "kernels")]
    shares: list[KernelShare] = run.rows("kernels")
    for share in shares:
        times = ", ".join(
            f"{int(batch_size):,} examples: {_number(milliseconds)} ms"
            for batch_size, milliseconds in share.milliseconds.items()
        )
        text = f"**{share.outside:.0%}** of a step of {share.net} on {share.batch_size} examples"
        lines.append(f"{text} is spent outside kernels. Step times: {times}.\n")
    return lines


def _devices(run: Run) -> list[str]:
    rows: list[DeviceTime] = run.rows("devices")
    lines = ["### Several GPUs\n", *_part_problem(run, "devices")]
    if not rows:
        return lines
    lines += ["| network | GPUs | milliseconds a step | times as fast |", "|---|---:|---:|---:|"]
    for row in rows:
        speedup = rows[0].milliseconds / row.milliseconds
        lines.append(_cells(row.net, row.num_devices, _number(row.milliseconds), _number(speedup)))
    return [*lines, "", f"Each step is one of `dk.fit` on {rows[0].batch_size:,} examples in all.\n"]


def _steps(run: Run) -> list[str]:
    lines = ["### Training steps\n", *_part_problem(run, "steps")]
    nets = measured_steps(run)
    if any(len(sides) > 1 for sides in nets.values()):
        alt_text = "The step times of deepkit, relative to those of the other sides in the table below."
        lines.append(f"![{alt_text}]({chart_path(run, 'steps')}){{ .cell-figure }}\n")
    lines += ["| network | deepkit | Keras | PyTorch |", "|---|---|---|---|"]
    rows: list[StepTime] = run.rows("steps")
    for net in dict.fromkeys(row.net for row in rows):
        sides = {row.side: row for row in rows if row.net == net}
        lines.append(_cells(net, *(_step_cell(sides, side) for side in ("deepkit", "Keras", "PyTorch"))))
    text = "Milliseconds a step, the median of the rounds; in parentheses the ratio of deepkit to the other side."
    return [*lines, "", f"{text}\n"]


def _step_cell(sides: Mapping[str, StepTime], side: str) -> str:
    """Return the time of a side with the ratio of deepkit to it, or why it was not measured."""
    row, deepkit = sides.get(side), sides["deepkit"]
    if row is None or not row.milliseconds:
        return row.problem if row else ""
    text = _number(row.median())
    if row is deepkit or not deepkit.milliseconds:
        return text
    return f"{text} ({_number(median(ratios(deepkit, row)))})"


def ratios(row: StepTime, other: StepTime) -> list[float]:
    """Return the ratio of two step times in each round."""
    return [a / b for a, b in zip(row.milliseconds, other.milliseconds, strict=True)]


def _part_problem(run: Run, name: str) -> list[str]:
    problems = [part.problem for part in run.parts if part.name == name and part.problem]
    return [f"*{problem}*\n" for problem in problems]


def _machine(run: Run) -> list[str]:
    """Return the machine, the command, and the seconds of each part."""
    hardware = (f"{text} cores" if name == "cores" else text for name, text in run.hardware.items())
    facts = [f"{name} {text}" for part in run.parts for name, text in part.facts.items()]
    machine = ", ".join([run.date, *run.gpus, *hardware, *(f"{name} {text}" for name, text in run.versions.items())])
    seconds = ", ".join(f"{part.name} {part.seconds:.0f} s" for part in run.parts)
    lines = [f"- Machine: {', '.join([machine, *facts])}", f"- Command: `{run.command}`"]
    lines += [f"- Parts: {seconds}"] if run.gpus else []
    return _collapsed("Machine and command", lines)


def _collapsed(title: str, lines: Sequence[str]) -> list[str]:
    """Return a block that a reader opens."""
    return ["<details markdown>", f"<summary>{title}</summary>", "", *lines, "", "</details>", ""]


def _number(value: float) -> str:
    """Return a number with about three significant digits."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _cells(*cells: object) -> str:
    return f"| {' | '.join(str(cell).replace('|', '/') for cell in cells)} |"
