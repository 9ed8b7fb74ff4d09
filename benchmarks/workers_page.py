"""The page of the documentation with the recorded run of the benchmark of several workers."""

from __future__ import annotations

from statistics import median

from benchmarks.pairs import Spread
from benchmarks.workers_processes import NUM_STEPS, WARM_UP_STEPS
from benchmarks.workers_records import ALONE, BESIDE, LOOPBACK, TOGETHER, LinkResult, Run
from benchmarks.workers_scaling import LinkCosts, efficiency, minimum_bytes, step_seconds

COMMENT = "<!-- Written by `python -m benchmarks.workers` from benchmarks/workers_results.json. Do not edit. -->"
TITLE = """\
# Benchmarks of several workers

`make bench-workers` trains one network with two [workers](several_workers.md), and compares them with one worker. All
of them are on one machine, and each worker has one core, so that two workers have twice the processor of one.

1. **Loopback.** Both workers are processes of the same machine, as `deepkit launch --workers 2` starts them.
2. **Namespaces.** Each worker is in a network namespace of its own, and a pair of virtual devices connects them. A
   third measurement limits the rate of the devices to 1 Gbit/s in each direction.
3. **On paper.** From these times follows what 8 and 64 workers would reach, if the assumptions below hold.
"""
NOT_MEASURED = """\
**Nothing has been measured yet.** There are no results on this page.
"""
STEPS = """\
*Weak scaling*: two workers have as many examples each as one worker. *Strong scaling*: two workers divide the batch of
one worker. The speedup is the ratio of the examples per second, the median of the rounds with its quartiles.
"""
PARTS = """\
Communication and waiting are what a step of two workers takes beyond that of one worker with as many examples. Two
workers that do not communicate show how much of it the shared memory of the machine costs, the sum of the gradients
without a training how much of it the link costs.
"""
BYTES = """\
Two workers must send at least the size of the gradients each: 2 (n - 1) / n times their size with n = 2. The bytes are
those of the network device, with headers, the sum of the losses, and the other messages of the workers. TCP gives the
device packets that are larger than those on a wire, so that fewer headers are counted than a real network would carry.
"""
PROJECTION = """\
## Projection, on paper

Nothing in this section is measured, except two workers in the last table. The efficiency is the number of examples per
second and worker, relative to one worker. The time of a step of n workers is

```text
computation + (sums of a step) * 2 (n - 1) * (time of a message)
            + 2 (n - 1) / n * (bytes of the gradients) * (time of a byte)
```
"""
ASSUMPTIONS = """\
It assumes:

- The workers sum with a ring, and a message and a byte take the times that two workers measured. The sum of a single
  number gives the time of a message, that of the gradients the time of a byte.
- A wire of 10 or 100 Gbit/s adds its time to that of the software on loopback, and does not overlap with it. Its
  messages take as long as those on loopback.
- Nothing overlaps: all workers compute their gradients, and then sum them. The measured workers do the same.
- Every worker has a core, a memory and a full-duplex link of its own, and is as fast as the others. Real workers wait
  for the slowest one.
- The computation is that of two workers that do not communicate, measured beside the trainings on loopback. It has a
  fixed part and a part for each example, which the two batch sizes give.
"""
COMMANDS = f"""\
## Run it

```console
$ make bench-workers                       # as root, with iproute2
$ python -m benchmarks.workers --rounds 2  # a trial; nothing is written
```

Without root or without `ip`, the namespaces are not measured, and the page says so. The namespaces and processes are
removed at the end, also after an error. `python -m benchmarks.workers --page` writes this page from
`benchmarks/workers_results.json`.

## Method

- **Processes**: `taskset` gives each worker a core. `deepkit launch --hosts` starts the workers that train together.
  All processes run during the whole measurement, and wait while others are measured.
- **Rounds**: each round trains one epoch of every side, and begins with another side. The first {WARM_UP_STEPS} steps
  of an epoch are not counted. The time of a step is the mean of the {NUM_STEPS} next ones, for two workers that of the
  slower one. A first round is not counted.
- **One worker** takes one step in each call of TensorFlow, as several workers do.
- **Bytes**: the counters of `/proc/net/dev` are read before and after an epoch, while the workers wait. On loopback
  one device sends the bytes of both workers, so that half of them belong to each. It also receives every byte, which
  is not counted again. In a namespace the device sends only the bytes of its worker.
"""
WORKERS = (2, 8, 64)
WIRES = (10, 100)  # Gbit/s


def render(run: Run | None) -> str:
    """Return the page as Markdown."""
    lines = [COMMENT, "", TITLE]
    if run is None:
        lines.append(NOT_MEASURED)
    else:
        lines += [*_network(run), *_steps(run), *_parts(run), *_bytes(run), *_projection(run), *_machine(run)]
    return "\n".join([*lines, COMMANDS])


def chart_path() -> str:
    """Return the path of the chart, relative to the folder of the documentation."""
    return "figures/workers-efficiency.svg"


def summary(run: Run) -> str:
    """Return the speedup on each link in one line each."""
    lines = []
    for link in run.links:
        if link.problem:
            lines.append(f"{link.name}: {link.problem}")
            continue
        sizes = link.batch_sizes()
        weak, strong = (_spread(link.speedup(sizes[0], size)) for size in sizes)
        lines.append(f"{link.name}: two workers are {weak} times as fast as one (weak), {strong} (strong)")
    return "\n".join(lines)


def projected_links(run: Run) -> dict[str, LinkCosts]:
    """Return the costs of the measured links, and of wires beside the software on loopback, by name."""
    links = {link.name: run.link_costs(link) for link in run.measured_links()}
    if LOOPBACK in links:
        links.update({f"a wire of {gigabits} Gbit/s": links[LOOPBACK].over_wire(gigabits) for gigabits in WIRES})
    return links


def projected_efficiency(run: Run, num_workers: int, link: LinkCosts, *, divide_batch: bool) -> float:
    """Return the efficiency of some workers on a link, whose batch is the larger one that was measured."""
    base = run.measured_links()[0]
    size = base.batch_sizes()[0]
    return efficiency(num_workers, size, run.step_costs(base), link, divide_batch=divide_batch)


def _network(run: Run) -> list[str]:
    text = (
        f"The network has three stacks of convolutions and a hidden layer, {run.num_weights:,} weights in all, and no "
        f"batch normalization. Its gradients have {run.gradient_bytes / 1e6:.2f} MB in float32, and a step has "
        f"{run.num_reductions} sums over the workers.\n"
    )
    problems = [f"- {link.name}: {link.problem}" for link in run.links if link.problem]
    return [text, *(["Links that are missing here:\n", *problems, ""] if problems else [])]


def _steps(run: Run) -> list[str]:
    lines = ["## Two workers against one\n", STEPS, "| examples | one worker | two workers | speedup |"]
    lines.append("|---|---:|---:|---:|")
    for link in run.measured_links():
        large, small = link.batch_sizes()
        for text, size in ((f"weak, {large} each", large), (f"strong, {large} in all", small)):
            times = [link.milliseconds(ALONE, large), link.milliseconds(TOGETHER, size)]
            speedup = _spread(link.speedup(large, size))
            lines.append(_cells(f"{link.name}: {text}", *(f"{_number(time)} ms" for time in times), speedup))
    return [*lines, ""]


def _parts(run: Run) -> list[str]:
    """Return a table of the parts of a step for each link."""
    lines = ["## Computation and communication\n", PARTS]
    for link in run.measured_links():
        sizes = link.batch_sizes()
        lines += [
            f"### {link.name[0].upper()}{link.name[1:]}\n",
            _cells("ms per step", *(f"{size} examples each" for size in sizes)),
        ]
        lines.append("|---|---:|---:|")
        gradients = median(link.gradients)
        rows = {
            "one worker: computation": [link.milliseconds(ALONE, size) for size in sizes],
            "two workers that do not communicate": [link.milliseconds(BESIDE, size) for size in sizes],
            "two workers": [link.milliseconds(TOGETHER, size) for size in sizes],
            "communication and waiting": [
                link.milliseconds(TOGETHER, size) - link.milliseconds(ALONE, size) for size in sizes
            ],
            "sum of the gradients, without a training": [gradients] * 2,
            "sum of a single number": [median(link.number)] * 2,
        }
        lines += [_cells(name, *map(_number, values)) for name, values in rows.items()]
        spreads = [Spread.of(link.times(TOGETHER, size).milliseconds) for size in sizes]
        texts = [f"{_number(spread.lower)} to {_number(spread.upper)}" for spread in spreads]
        lines += [_cells("two workers, quartiles of the rounds", *texts), ""]
    return lines


def _bytes(run: Run) -> list[str]:
    minimum = minimum_bytes(2, run.gradient_bytes)
    lines = ["## Bytes\n", BYTES, "| bytes that a worker sends in a step | measured | minimum | excess |"]
    lines.append("|---|---:|---:|---:|")
    for link in run.measured_links():
        for size in link.batch_sizes():
            sent = median(link.times(TOGETHER, size).sent)
            numbers = (f"{sent:,.0f}", f"{minimum:,.0f}", f"{sent / minimum - 1:.2%}")
            lines.append(_cells(f"{link.name}, {size} examples each", *numbers))
    other = [median(row.sent) for link in run.measured_links() for row in link.steps if row.side == ALONE and row.sent]
    if other:
        lines += ["", f"While one worker trained, other programs sent {max(other):,.0f} bytes a step on loopback."]
    return [*lines, ""]


def _projection(run: Run) -> list[str]:
    links = projected_links(run)
    if not links:
        return []
    alt_text = "The efficiency of two, 8 and 64 workers on each link, on paper, with the measured one of two workers."
    lines = [PROJECTION, ASSUMPTIONS, f"![{alt_text}]({chart_path()}){{ .cell-figure }}\n"]
    size = run.measured_links()[0].batch_sizes()[0]
    for title, divide_batch in ((f"weak: {size} examples each", False), (f"strong: {size} examples in all", True)):
        lines += [_cells(title, *(f"{count} workers" for count in WORKERS)), "|---|---:|---:|---:|"]
        for name, link in links.items():
            values = [projected_efficiency(run, count, link, divide_batch=divide_batch) for count in WORKERS]
            lines.append(_cells(name, *(f"{value:.0%}" for value in values)))
        lines.append("")
    return [*lines, *_compared(run)]


def _compared(run: Run) -> list[str]:
    """Return a table of the projected and the measured times of two workers."""
    lines = ["The same formula for two workers, against the measurement:\n"]
    lines += [_cells("ms per step", "projected", "measured", "ratio"), "|---|---:|---:|---:|"]
    costs = projected_links(run)
    for link in run.measured_links():
        step = run.step_costs(link)
        for size in link.batch_sizes():
            projected = 1e3 * step_seconds(2, size, step, costs[link.name])
            measured = link.milliseconds(TOGETHER, size)
            texts = (_number(projected), _number(measured), f"{projected / measured:.2f}")
            lines.append(_cells(f"{link.name}, {size} examples each", *texts))
        if link.name != LOOPBACK and LOOPBACK in costs and "Gbit/s" in link.name:
            lines += _from_loopback(run, link, costs[LOOPBACK])
    return [*lines, ""]


def _from_loopback(run: Run, link: LinkResult, loopback: LinkCosts) -> list[str]:
    """Return the row that checks the assumption about wires: loopback with the rate of a measured link."""
    gigabits = float(link.name.split()[-2])
    size = link.batch_sizes()[0]
    projected = 1e3 * step_seconds(2, size, run.step_costs(link), loopback.over_wire(gigabits))
    measured = link.milliseconds(TOGETHER, size)
    name = f"loopback with a wire of {gigabits:g} Gbit/s, {size} each"
    return [_cells(name, _number(projected), _number(measured), f"{projected / measured:.2f}")]


def _machine(run: Run) -> list[str]:
    hardware = (f"{text} cores" if name == "cores" else text for name, text in run.hardware.items())
    machine = ", ".join([run.date, *hardware, *(f"{name} {text}" for name, text in run.versions.items())])
    lines = [f"- Machine: {machine}", f"- Command: `{run.command}`"]
    return ["<details markdown>", "<summary>Machine and command</summary>", "", *lines, "", "</details>", ""]


def _spread(spread: Spread) -> str:
    return f"{spread.median:.2f} ({spread.lower:.2f} to {spread.upper:.2f})"


def _number(value: float) -> str:
    """Return a number with about three significant digits."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _cells(*cells: object) -> str:
    return f"| {' | '.join(map(str, cells))} |"
