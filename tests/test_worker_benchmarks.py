"""The benchmark of several workers: counters, the projection, records, page, processes; no network is trained."""

import contextlib
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import (
    workers,
    workers_charts,
    workers_network,
    workers_page,
    workers_processes,
    workers_records,
    workers_scaling,
)
from benchmarks.records import RecordsError
from benchmarks.workers_network import LinkError
from benchmarks.workers_processes import Group, ProcessError
from benchmarks.workers_records import ALONE, BESIDE, TOGETHER, LinkResult, Run, StepTimes
from benchmarks.workers_scaling import LinkCosts, StepCosts

ROOT = Path(__file__).parent.parent
COUNTERS = """\
Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo: 5204084330  351861    0    0    0     0          0         0 5204084331  351861    0    0    0     0       0          0
dk1x0:10 1 0 0 0 0 0 0 20 2 0 0 0 0 0 0
"""  # noqa: E501


# bytes


def test_received_and_sent_bytes_are_those_of_each_device():
    assert workers_network.parse_counters(COUNTERS) == {"lo": (5204084330, 5204084331), "dk1x0": (10, 20)}
    assert workers_network.parse_counters("".join(COUNTERS.splitlines(keepends=True)[:2])) == {}


@pytest.mark.parametrize(("num_workers", "expected"), [(1, 0), (2, 1000), (8, 1750), (64, 1968.75)])
def test_each_worker_sends_at_least_the_bytes_of_a_ring(num_workers, expected):
    assert workers_scaling.minimum_bytes(num_workers, 1000) == expected


def test_a_ring_sends_the_minimum_of_bytes():
    """Simulate a ring over 4 workers that sum an array of 8 numbers in 4 parts."""
    num_workers, part = 4, 2
    values = [[float(10 * worker + position) for position in range(8)] for worker in range(num_workers)]
    expected = [sum(column) for column in zip(*values, strict=True)]
    sent = 0
    for adds, steps in ((True, range(num_workers - 1)), (False, range(num_workers - 1))):
        for step in steps:
            messages = []
            for worker in range(num_workers):
                start = (worker - step + (0 if adds else 1)) % num_workers * part
                messages.append(((worker + 1) % num_workers, start, values[worker][start : start + part]))
            for target, start, numbers in messages:
                sent += len(numbers)
                for offset, number in enumerate(numbers):
                    values[target][start + offset] = number + (values[target][start + offset] if adds else 0)
    assert values == [expected] * num_workers
    assert sent / num_workers == workers_scaling.minimum_bytes(num_workers, 8)


def test_on_loopback_half_of_the_bytes_belong_to_each_worker():
    steps = workers_processes.WARM_UP_STEPS + workers_processes.NUM_STEPS
    before = [{"sent": {"lo": 100, "eth0": 5}}] * 2
    after = [{"sent": {"lo": 100 + 2 * steps * 7, "eth0": 900}}] * 2
    assert workers.sent_per_step(workers_network.LOOPBACK, before, after) == 7
    assert workers.sent_per_step(workers_network.LOOPBACK, before[:1], after[:1]) == 14  # all of them, for one process


def test_in_namespaces_the_bytes_of_each_worker_are_counted_apart():
    steps = workers_processes.WARM_UP_STEPS + workers_processes.NUM_STEPS
    link = workers_network.Link(("10.9.0.1", "10.9.0.2"), ((), ()), is_shared=False)
    before = [{"sent": {"lo": 0, "a": 10}}, {"sent": {"lo": 0, "b": 0}}]
    after = [{"sent": {"lo": 9, "a": 10 + 6 * steps}}, {"sent": {"lo": 9, "b": 8 * steps}}]
    assert workers.sent_per_step(link, before, after) == 7


# projection


def test_two_sums_give_the_costs_of_a_link():
    link = LinkCosts(message_seconds=0.001, byte_seconds=1e-9)
    number, gradients = (workers_scaling.sum_seconds(2, size, link) for size in (0, 4_000_000))
    assert workers_scaling.link_costs(number, gradients, 4_000_000).message_seconds == pytest.approx(0.001)
    assert workers_scaling.link_costs(number, gradients, 4_000_000).byte_seconds == pytest.approx(1e-9)
    assert workers_scaling.link_costs(0.002, 0.001, 4_000_000).byte_seconds == 0  # noise


def test_a_wire_adds_its_time_for_each_bit():
    assert LinkCosts(0.001, 1e-9).over_wire(10) == LinkCosts(0.001, pytest.approx(1.8e-9))


def test_two_batch_sizes_give_the_fixed_and_the_proportional_part_of_a_step():
    step = workers_scaling.step_costs({64: 0.130, 32: 0.070}, 4000, 2)
    assert (step.fixed_seconds, step.example_seconds) == (pytest.approx(0.010), pytest.approx(0.060 / 32))
    assert step.computation_seconds(16) == pytest.approx(0.040)
    noisy = workers_scaling.step_costs({64: 0.130, 32: 0.060}, 4000, 2)
    assert (noisy.fixed_seconds, noisy.computation_seconds(32)) == (0, pytest.approx(0.065))


def test_the_time_of_a_step():
    step = StepCosts(0.1, 0.01, num_bytes=1_000_000, num_reductions=3)
    link = LinkCosts(0.001, 1e-7)
    assert workers_scaling.step_seconds(1, 10, step, link) == pytest.approx(0.2)
    messages = 3 * 2 * 7 * 0.001  # three sums over eight workers
    num_bytes = 2 * 7 / 8 * (1_000_000 + 2 * 4)
    assert workers_scaling.step_seconds(8, 10, step, link) == pytest.approx(0.2 + messages + num_bytes * 1e-7)


def test_efficiency_without_communication():
    step, link = StepCosts(0.0, 0.01, 1000, 1), LinkCosts(0, 0)
    for count in (1, 2, 64):
        assert workers_scaling.efficiency(count, 64, step, link) == pytest.approx(1)
        assert workers_scaling.efficiency(count, 64, step, link, divide_batch=True) == pytest.approx(1)
    fixed = replace(step, fixed_seconds=0.64)  # as long as the 64 examples
    assert workers_scaling.efficiency(64, 64, fixed, link, divide_batch=True) == pytest.approx(1.28 / (64 * 0.65))


def test_efficiency_falls_with_the_number_of_workers_and_with_a_divided_batch():
    step, link = StepCosts(0.01, 0.002, 4_000_000, 2), LinkCosts(0.0005, 1e-9)
    weak = [workers_scaling.efficiency(count, 64, step, link) for count in (2, 8, 64)]
    strong = [workers_scaling.efficiency(count, 64, step, link, divide_batch=True) for count in (2, 8, 64)]
    assert weak == sorted(weak, reverse=True)
    assert [a < b for a, b in zip(strong, weak, strict=True)] == [True] * 3


# records, page and chart


def _times(side, size, milliseconds):
    sent = (4_100_000.0, 4_200_000.0, 4_300_000.0) if side == TOGETHER else (12.0, 13.0, 14.0)
    return StepTimes(side, size, tuple(milliseconds + offset for offset in (-1.0, 0.0, 1.0)), sent)


def _link(name, **changes):
    steps = (
        _times(ALONE, 64, 100.0), _times(BESIDE, 64, 102.0), _times(TOGETHER, 64, 120.0),
        _times(ALONE, 32, 60.0), _times(BESIDE, 32, 62.0), _times(TOGETHER, 32, 75.0),
    )  # fmt: skip
    result = LinkResult(name, steps=steps, gradients=(9.0, 10.0, 11.0), number=(1.0, 1.0, 1.0))
    return replace(result, **changes)


def _run(*links):
    links = links or (_link("loopback"), _link("namespaces, 1 Gbit/s"))
    return Run("again", "2026-01-31", {"cpu": "A chip", "cores": "2"}, {"keras": "3"}, 1_000_000, 2, 16, tuple(links))


def test_a_recorded_run_is_loaded_unchanged(tmp_path):
    run = _run(_link("loopback"), LinkResult("namespaces", "not measured: network namespaces need root"))
    workers_records.save(tmp_path / "results.json", run)
    assert workers_records.load(tmp_path / "results.json") == run
    assert workers_records.load(tmp_path / "missing.json") is None
    (tmp_path / "results.json").write_text('{"format": 1}')
    with pytest.raises(RecordsError, match="is not a results file"):
        workers_records.load(tmp_path / "results.json")


def test_the_speedup_is_the_ratio_of_examples_per_second():
    link = _link("loopback")
    assert link.speedup(64, 64).median == pytest.approx(2 * 100 / 120)
    assert link.speedup(64, 32).median == pytest.approx(100 / 75)


def test_the_page_shows_every_measurement():
    text = workers_page.render(_run())
    rows = [
        "1,000,000 weights in all",
        "4.00 MB in float32, and a step has 2 sums over the workers",
        "| loopback: weak, 64 each | 100 ms | 120 ms | 1.67 (1.67 to 1.67) |",
        "| loopback: strong, 64 in all | 100 ms | 75 ms | 1.33 (1.33 to 1.34) |",
        "### Namespaces, 1 Gbit/s",
        "| communication and waiting | 20 | 15 |",
        "| sum of the gradients, without a training | 10 | 10 |",
        "| two workers, quartiles of the rounds | 120 to 120 | 74.5 to 75.5 |",
        "| loopback, 64 examples each | 4,200,000 | 4,000,000 | 5.00% |",
        "other programs sent 13 bytes a step on loopback",
        "| loopback, 64 examples each | 113 | 120 | 0.94 |",
        "| loopback with a wire of 1 Gbit/s, 64 each | 145 | 120 | 1.21 |",
        "| a wire of 100 Gbit/s | ",
        "- Machine: 2026-01-31, A chip, 2 cores, keras 3",
    ]
    assert [row for row in rows if row not in text] == []
    assert "Nothing has been measured" not in text
    assert "Links that are missing" not in text


def test_projected_efficiencies_follow_from_the_measured_times():
    run = _run()
    links = workers_page.projected_links(run)
    assert list(links) == ["loopback", "namespaces, 1 Gbit/s", "a wire of 10 Gbit/s", "a wire of 100 Gbit/s"]
    expected = 102 / (102 + 10 + 1)  # the sum of the gradients, and that of the loss
    assert workers_page.projected_efficiency(run, 2, links["loopback"], divide_batch=False) == pytest.approx(expected)
    assert f"| loopback | {expected:.0%} | " in workers_page.render(run)


def test_the_page_says_what_was_not_measured():
    assert "**Nothing has been measured yet.**" in workers_page.render(None)
    problem = LinkResult("namespaces", "not measured: network namespaces need root")
    run = _run(_link("loopback"), problem)
    assert "- namespaces: not measured: network namespaces need root" in workers_page.render(run)
    assert workers_page.summary(run).splitlines() == [
        "loopback: two workers are 1.67 (1.67 to 1.67) times as fast as one (weak), 1.33 (1.33 to 1.34) (strong)",
        "namespaces: not measured: network namespaces need root",
    ]
    assert "on paper" not in workers_page.render(_run(problem)).partition("## Projection")[2]


def test_a_measured_run_has_a_chart_on_its_page():
    (path,) = workers_charts.figures(_run())
    assert path in workers_page.render(_run())
    assert workers_charts.figures(None) == workers_charts.figures(_run(LinkResult("loopback", "failed: x"))) == {}


def test_lines_of_code_and_tables_fit_on_the_page():
    text = workers_page.render(_run())
    lines = text.splitlines()
    fences = [block.splitlines() for block in text.split("```")[1::2]]
    assert [len(fence) for fence in fences] == [3, 3]
    assert [line for fence in fences for line in fence if len(line) > 80] == []
    assert [line for line in lines if line.count("|") > 5] == []


def test_the_page_in_the_documentation_follows_from_the_recorded_results(capsys):
    assert workers.main(["--check"]) == 0
    assert capsys.readouterr().out == "docs/worker_benchmarks.md: up to date\n"


# the command


def test_a_trial_is_not_recorded_and_a_run_is(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(workers, "machine_problem", lambda: "")
    monkeypatch.setattr(workers, "measure", lambda rounds, command: replace(_run(), command=command))
    assert workers.main(["--rounds", "2"], root=tmp_path) == 0
    assert "a trial: 2 rounds are fewer than 9, nothing is recorded" in capsys.readouterr().out
    assert not list(tmp_path.iterdir())
    assert workers.main([], root=tmp_path) == 0
    assert workers_records.load(tmp_path / workers.RESULTS).command == "python -m benchmarks.workers --rounds 9"
    assert workers.main(["--check"], root=tmp_path) == 0
    (tmp_path / workers.PAGE).write_text("typed")
    assert workers.main(["--check"], root=tmp_path) == 1


def test_a_machine_with_one_core_cannot_run_the_benchmark(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(workers_processes, "cores", lambda: [0])
    assert workers.main([], root=tmp_path) == 2
    assert capsys.readouterr().err == "the benchmark needs Linux and two cores, one for each worker\n"


def test_a_link_that_fails_is_a_result_and_the_exit_code_is_1(tmp_path, monkeypatch):
    def broken(link, offset, batch_size):
        raise ProcessError("a worker ended: /usr/lib/libtensorflow.so is gone")

    monkeypatch.setattr(workers, "connected_workers", broken)
    result = workers._measure_link("loopback", None, {}, 1, {})
    assert result == LinkResult("loopback", "failed: a worker ended: libtensorflow.so is gone")
    monkeypatch.setattr(workers, "machine_problem", lambda: "")
    monkeypatch.setattr(workers, "measure", lambda rounds, command: _run(result))
    assert workers.main(["--rounds", "1"], root=tmp_path) == 1


class FakeGroup:
    """Counts its epochs and sends 20 bytes in each step of two workers."""

    def __init__(self, seconds):
        self.seconds, self.num_epochs = seconds, 0

    def ask(self, command, count=None):
        self.num_epochs += command == "epoch"
        steps = self.num_epochs * (workers.WARM_UP_STEPS + workers.NUM_STEPS)
        answers = {
            "sent": {"sent": {"lo": 40 * steps}},
            "epoch": {"seconds": self.seconds, "reductions": 2},
            "sum": {"gradients": 0.004, "number": 0.001},
        }
        return [answers[command]] * (count or 2)


def test_each_round_measures_every_side_and_the_first_one_is_not_counted(capsys):
    independent = {size: FakeGroup(size / 1e3) for size in workers.BATCH_SIZES}
    together = {size: FakeGroup(2 * size / 1e3) for size in workers.BATCH_SIZES}
    sides = workers.make_sides(independent, together)
    facts = {}
    result = workers._measure_rounds("loopback", workers_network.LOOPBACK, sides, 3, facts)
    assert result.times(ALONE, 64).milliseconds == (64.0,) * 3
    assert result.times(TOGETHER, 32) == StepTimes(TOGETHER, 32, (64.0,) * 3, (20.0,) * 3)
    assert (result.gradients, result.number, facts) == ((4.0,) * 3, (1.0,) * 3, {"reductions": 2})
    assert [group.num_epochs for group in (*independent.values(), *together.values())] == [8, 8, 4, 4]


# processes and namespaces

ANSWER = "import sys\nfor line in sys.stdin:\n    print('{\"line\": \"' + line.strip() + '\"}', flush=True)"
BREAK = "print('a reason')\nprint('  hint: this', flush=True)\nraise SystemExit(3)"


def test_a_group_asks_its_first_processes_and_ends_all_of_them():
    with contextlib.closing(Group([[sys.executable, "-c", ANSWER]] * 2)) as group:
        assert group.ask("epoch") == [{"line": "epoch"}] * 2
        assert group.ask("sent", 1) == [{"line": "sent"}]
    assert [process._process.returncode for process in group._processes] == [-9, -9]


def test_a_process_that_ends_is_an_error_with_its_last_line():
    group = Group([[sys.executable, "-c", BREAK]])
    with contextlib.closing(group), pytest.raises(ProcessError, match="a worker ended: a reason"):
        group.answers()


def test_a_process_that_does_not_answer_is_an_error(monkeypatch):
    monkeypatch.setattr(workers_processes, "SECONDS", 0.1)
    group = Group([[sys.executable, "-c", "input()"]])
    with contextlib.closing(group), pytest.raises(ProcessError, match="gave no answer in 0 s: it printed nothing"):
        group.answers()


def test_workers_are_launched_on_their_cores_and_in_their_namespaces(monkeypatch):
    monkeypatch.setattr(workers_processes, "Group", lambda commands: [" ".join(command) for command in commands])
    monkeypatch.setattr(workers_processes, "cores", lambda: [4, 6])
    link = workers_network.Link(("10.9.0.1", "10.9.0.2"), (("in", "a"), ("in", "b")), is_shared=False)
    commands = workers_processes.connected_workers(link, 1, 64)
    assert commands[1] == (
        f"in b taskset -c 6 {sys.executable} -m deepkit launch --hosts 10.9.0.1:2223,10.9.0.2:2223 --index 1 "
        "benchmarks/workers_program.py 64"
    )
    assert commands[0].startswith("in a taskset -c 4 ")


def test_namespaces_are_removed_if_a_command_fails(monkeypatch):
    commands = []

    def run(*command):
        commands.append(command[:3])
        if command[0] == "tc":
            raise LinkError("`tc` failed: unknown")

    monkeypatch.setattr(workers_network, "_run", run)
    with pytest.raises(LinkError, match="unknown"), workers_network.network_namespaces(1.0):
        pytest.fail("it was entered")
    assert commands.count(("ip", "netns", "add")) == commands.count(("ip", "netns", "delete")) == 2


def test_a_command_that_fails_or_is_missing_is_an_error_with_its_reason():
    with pytest.raises(LinkError, match="`/bin/sh -c echo a reason >&2; exit 1` failed: a reason"):
        workers_network._run("/bin/sh", "-c", "echo a reason >&2; exit 1")
    with pytest.raises(LinkError, match="`deepkit-missing` is not installed"):
        workers_network._run("deepkit-missing")


def test_namespaces_need_root_and_iproute2(monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 1000, raising=False)
    assert workers_network.namespaces_problem() == "not measured: network namespaces need root"
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(workers_network.shutil, "which", lambda name: None)
    assert workers_network.namespaces_problem().startswith("not measured: `ip` is not installed")


@pytest.mark.skipif(bool(workers_network.namespaces_problem()), reason=workers_network.namespaces_problem())
def test_real_namespaces_count_their_own_bytes_and_leave_nothing():
    read = [sys.executable, "-c", "from benchmarks.workers_network import sent_bytes; print(*sent_bytes())"]
    with contextlib.ExitStack() as stack:
        try:
            link = stack.enter_context(workers_network.network_namespaces())
        except LinkError as error:
            pytest.skip(str(error))
        names = [prefix[-1] for prefix in link.prefixes]
        process = subprocess.run([*link.prefixes[0], *read], cwd=ROOT, capture_output=True, text=True, check=True)
        assert process.stdout.split() == sorted(process.stdout.split(), reverse=True)
        assert {"lo", f"dk{os.getpid()}x0"} <= set(process.stdout.split())
        assert "eth0" not in process.stdout
    listed = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True).stdout
    assert [name for name in names if name in listed] == []
