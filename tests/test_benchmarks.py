"""Benchmarks: equality of the nets, arithmetic, records and page; no test measures time."""

import contextlib
import json
import math
import os
import re
from pathlib import Path

import pytest

from benchmarks import __main__ as command
from benchmarks import charts, measuring, page, records, worker
from benchmarks.catalog import (
    BENCHMARKS,
    HEADINGS,
    IMAGES,
    INTRODUCTIONS,
    STEPS,
    Benchmark,
    UnknownBenchmark,
    select,
)
from benchmarks.pairs import Spread, Summary, Target, interleaved, verdict
from benchmarks.records import RecordsError, Row

ROOT = Path(__file__).parent.parent
NET_NAMES = ("resnet20", "mlp", "densenet", "lenet", "resnet110", "deep")


@pytest.mark.parametrize("name", NET_NAMES)
def test_definition_and_handwritten_net_have_the_same_graph(name):
    from benchmarks import nets

    net = nets.NETS[name]
    assert nets.graph(net.definition().build(net.input_shape)) == nets.graph(net.handwritten())


@pytest.mark.parametrize("name", ["vae", "gan", "autoencoder", "bilstm", "transformer", "translator"])
def test_models_with_custom_steps_have_the_weight_shapes_of_the_handwritten_models(name):
    from benchmarks import custom_steps

    pair = custom_steps.MODELS[name]
    models = (custom_steps.build(name), pair.handwritten())
    shapes = [sorted(tuple(weight.shape) for weight in model.trainable_weights) for model in models]
    assert shapes[0] == shapes[1]
    assert set(custom_steps.MODELS) == {"vae", "gan", "autoencoder", "bilstm", "transformer", "translator"}


def test_every_net_is_tested():
    from benchmarks import nets

    assert tuple(nets.NETS) == NET_NAMES


def test_graphs_differ_in_connections_and_configs():
    import keras

    from benchmarks import nets

    def model(first, units):
        x = keras.Input((4,))
        y = keras.layers.Dense(units)(x)
        return nets.graph(keras.Model(x, keras.layers.Concatenate()([x, y] if first else [y, x])))

    assert model(True, 3) == model(True, 3)
    assert model(True, 3) != model(False, 3)
    assert model(True, 3) != model(True, 4)


def test_the_nets_have_the_parameter_counts_of_the_papers():
    from benchmarks import nets

    counts = {name: nets.NETS[name].handwritten().count_params() for name in ("resnet20", "lenet")}
    # He et al. 2016, table 6: 0.27M for ResNet-20 with option A; projections add 2,560 weights and 4 x 96 of norms
    assert counts == {"resnet20": 274_042, "lenet": 61_706}


@pytest.mark.parametrize("name", ["lenet", "mlp", "resnet20"])
def test_the_nets_in_torch_have_the_same_number_of_weights(name):
    pytest.importorskip("torch")
    from benchmarks import nets, torch_nets

    num_trained = sum(math.prod(weight.shape) for weight in nets.NETS[name].handwritten().trainable_weights)
    assert sum(weight.numel() for weight in torch_nets.NETS[name]().parameters()) == num_trained


def test_the_sides_alternate_after_a_warm_up():
    calls = []

    def side(name, numbers):
        def measure():
            calls.append(name)
            return next(numbers)

        return measure

    left, right = side("l", iter([99, 1, 2, 3])), side("r", iter([99, 10, 20, 30]))
    assert list(interleaved(left, right, 3)) == [(1, 10), (2, 20), (3, 30)]
    assert "".join(calls) == "lr" + "lr" + "rl" + "lr"


def test_a_summary_has_the_spread_of_the_ratios():
    summary = Summary.of([(1.0, 1.0), (2.0, 1.0), (3.0, 1.0), (12.0, 3.0), (10.0, 1.0)])
    assert summary == Summary(Spread(3.0, 2.0, 4.0, 1.0, 10.0), left=3.0, right=1.0, pairs=5)


def test_a_measurement_of_zero_raises():
    with pytest.raises(
        ValueError, match=r"^a measured number must be positive, received 0\.0\n  hint: measure longer$"
    ):
        Summary.of([(1.0, 0.0)])


@pytest.mark.parametrize(
    ("target", "ratio", "expected"),
    [
        (Target(low=0.95, high=1.05), 1.05, "met"),
        (Target(low=0.95, high=1.05), 0.94, "missed"),
        (Target(high=0.8), 0.8, "met"),
        (Target(high=0.8), 0.8001, "missed"),  # shown as 0.80
        (Target(low=1.0), 1.0, "met"),
        (Target(low=1.0), 0.999, "missed"),
        (None, 7.0, "recorded"),
    ],
)
def test_the_verdict_follows_from_the_median(target, ratio, expected):
    pairs = [(0.01, 1.0), (ratio, 1.0), (100.0, 1.0)]
    assert verdict(target, Summary.of(pairs)) == expected


def test_targets_are_described():
    targets = [Target(low=0.95, high=1.05), Target(high=0.8), Target(low=1.0, reason="it was chosen")]
    assert list(map(str, targets)) == ["1.00 within 0.05", "at most 0.80", "at least 1.00: it was chosen"]


def test_the_target_of_a_choice_follows_from_it():
    benchmark = _benchmark(left="LeNet-5, mixed_bfloat16", right="LeNet-5, float32", tests_choice=True)
    assert str(benchmark.target_for({"chosen": "float32"})) == "at least 0.97: dk.autotune chose float32"
    assert str(benchmark.target_for({"chosen": "mixed_bfloat16"})) == "at most 1.00: dk.autotune chose mixed_bfloat16"


@pytest.mark.parametrize(
    ("chosen", "ratio", "expected"),
    [
        ("float32", 1.5, "met: `dk.autotune` chose float32"),
        ("float32", 0.5, "missed: `dk.autotune` chose float32"),
        ("mixed_bfloat16", 0.5, "met: `dk.autotune` chose mixed_bfloat16"),
    ],
)
def test_the_page_shows_the_choice_of_autotune(chosen, ratio, expected):
    benchmark = _benchmark(left="mixed_bfloat16", right="float32", tests_choice=True)
    facts = {"chosen": chosen}
    row = _row(benchmark, pairs=((ratio, 1.0),), facts=facts, target=benchmark.target_for(facts))
    assert page.conclusion(row) == expected


# the catalog


def test_the_first_benchmark_is_the_noise_floor_and_names_are_unique():
    assert BENCHMARKS[0].name == "noise-floor"
    assert BENCHMARKS[0].sides[0] == BENCHMARKS[0].sides[1]
    assert len({benchmark.name for benchmark in BENCHMARKS}) == len(BENCHMARKS)
    assert {benchmark.group for benchmark in BENCHMARKS} == set(HEADINGS)


def test_every_side_exists():
    paths = {path for benchmark in BENCHMARKS for path in benchmark.sides}
    assert all(callable(worker.side_function(path)) for path in paths)


def test_selected_benchmarks_are_in_the_order_of_the_page():
    assert [b.name for b in select(["deep-build", "mlp-step"])] == ["mlp-step", "deep-build"]
    assert select([]) == list(BENCHMARKS)


def test_an_unknown_name_raises_with_the_choices():
    with pytest.raises(UnknownBenchmark) as caught:
        select(["b"], [_benchmark(name="a")])
    assert str(caught.value) == "there is no benchmark 'b'\n  hint: use one of a"


# the results file


def test_a_recorded_row_is_loaded_unchanged(tmp_path):
    row = _row(_benchmark(target=Target(high=0.8)), pairs=((1.25, 2.5), (0.5, 4.0)), facts={"PyTorch": "2.13"})
    records.merge(tmp_path / "results.json", row)
    assert records.load(tmp_path / "results.json") == {"a": row}


def test_recording_a_row_keeps_the_others(tmp_path):
    path = tmp_path / "results.json"
    first, second, again = (_row(_benchmark(name=name), pairs=((number, 1.0),)) for name, number in NUMBERS)
    for row in (first, second, again):
        records.merge(path, row)
    assert records.load(path) == {"a": again, "b": second}
    assert [entry["name"] for entry in json.loads(path.read_text())["rows"]] == ["a", "b"]
    assert "[3.0, 1.0]" in path.read_text()
    assert [file.name for file in tmp_path.iterdir()] == ["results.json"]


NUMBERS = [("a", 1.0), ("b", 2.0), ("a", 3.0)]


def test_a_file_that_is_not_a_results_file_is_left_unchanged(tmp_path):
    path = tmp_path / "results.json"
    path.write_text("{}")
    with pytest.raises(RecordsError) as caught:
        records.merge(path, _row(_benchmark(), pairs=((1.0, 1.0),)))
    expected = f"{path} is not a results file (KeyError: 'format'); it is left unchanged\n  hint: restore it from "
    assert str(caught.value) == expected + "version control"
    assert path.read_text() == "{}"


def test_a_file_of_another_format_raises(tmp_path):
    path = tmp_path / "results.json"
    path.write_text('{"format": 9, "rows": []}')
    with pytest.raises(RecordsError) as caught:
        records.load(path)
    assert str(caught.value) == f"{path} has format 9, expected 1\n  hint: delete it and record the results again"


def test_recorded_messages_have_no_absolute_paths():
    text = "ImportError: /usr/lib/python3/x.so: no 1/2 symbol\nmore"
    assert records.without_paths(text) == "ImportError: x.so: no 1/2 symbol"


# the page


def test_the_page_of_fixed_records():
    rows = {row.name: row for row in _example_rows()}
    text = page.render(rows, _example_benchmarks())
    assert text.startswith("<!-- Written by `python -m benchmarks` from benchmarks/results.json. Do not edit")
    introductions = {"{INTRODUCTIONS[STEPS]}": INTRODUCTIONS[STEPS], "{INTRODUCTIONS[IMAGES]}": INTRODUCTIONS[IMAGES]}
    expected = re.sub(r"\{INTRO.*?\}", lambda match: introductions[match[0]], EXPECTED)
    assert text[text.index("## Training steps") : text.index("## Method")] == expected
    assert text.endswith(MACHINES)
    assert "\n0 of 1 targets are met. These are missed:\n\n- ours compared with theirs\n" in text


def test_a_chart_shows_median_quartiles_range_target_and_noise():
    a, _, _ = _example_rows()
    figure = charts.draw([a], noise=Spread(1.0, 0.9, 1.1, 0.8, 1.2))
    (axes,) = figure.axes
    lines = [[float(x) for x in line.get_xdata()] for line in axes.lines]
    assert lines == [[1.0, 1.0], [0.5, 1.5], [0.75, 1.25], [1.0]]
    assert axes.patches[0].get_x() == 0.9
    assert [segment[0][0] for segment in axes.collections[0].get_segments()] == [0.8]
    assert axes.get_xlabel() == "ratio of the times; further to the left is faster"
    assert [label.get_text() for label in axes.get_yticklabels()] == ["ours\nover theirs"]


def test_every_group_with_a_measured_row_has_a_chart():
    rows = {row.name: row for row in _example_rows()}
    files = charts.charts(rows, _example_benchmarks())
    assert list(files) == ["figures/benchmarks-training-steps.svg"]
    assert files == charts.charts(rows, _example_benchmarks())
    assert b"<svg" in files["figures/benchmarks-training-steps.svg"]


def test_commentary_is_shown_only_if_the_target_is_missed():
    benchmark = _benchmark(target=Target(high=1.0), commentary="Because.")
    expected = "*Commentary on `a`, not measured:* Because."
    assert expected in page.render({"a": _row(benchmark, pairs=((2.0, 1.0),))}, [benchmark])
    assert "Because." not in page.render({"a": _row(benchmark, pairs=((0.5, 1.0),))}, [benchmark])
    assert "Because." not in page.render({}, [benchmark])


def test_the_page_in_the_documentation_follows_from_the_recorded_results(capsys):
    assert command.main(["--check"]) == 0
    assert capsys.readouterr().out == "docs/benchmarks.md: up to date\n"


def test_recorded_rows_have_no_paths_of_the_machine():
    text = (ROOT / "benchmarks" / "results.json").read_text()
    assert not [path for path in ("/root", "/home", "/tmp", "/usr") if path in text]


# measuring, in processes


@pytest.fixture(autouse=True)
def restored_environment():
    """Restore the environment variables that the command sets for its worker processes."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


def test_two_processes_are_measured_recorded_and_shown_on_the_page(tmp_path, capsys):
    benchmark = _benchmark(
        sides=("tests.bench_fakes:one", "tests.bench_fakes:two"), separate_processes=True, target=Target(high=0.8)
    )
    assert command.main(["--pairs", "9"], root=tmp_path, benchmarks=[benchmark]) == 0
    row = records.load(tmp_path / command.RESULTS)["a"]
    assert (row.pairs, row.verdict(), row.facts) == (((1.0, 2.0),) * 9, "met", {"one": "here"})
    assert row.command == "python -m benchmarks a --pairs 9"
    assert "= 0.500 (0.500 to 0.500), met; 1 and 2 s" in capsys.readouterr().out
    # no benchmark is missing
    assert command.main(["--missing"], root=tmp_path, benchmarks=[benchmark]) == 0
    assert "0 rows in" in capsys.readouterr().out
    # the page is checked and updated
    assert command.main(["--check"], root=tmp_path, benchmarks=[benchmark]) == 0
    (tmp_path / command.PAGE).write_text("typed")
    assert command.main(["--check"], root=tmp_path, benchmarks=[benchmark]) == 1
    message = "docs/benchmarks.md differs from benchmarks/results.json\n  hint: run `python -m benchmarks --page`\n"
    assert capsys.readouterr().err == message
    assert command.main(["--page"], root=tmp_path, benchmarks=[benchmark]) == 0
    assert command.main(["--check"], root=tmp_path, benchmarks=[benchmark]) == 0


def test_a_failure_is_recorded_and_does_not_stop_the_other_benchmarks(tmp_path):
    sides = {"a": "broken", "b": "dying", "c": "absent"}
    benchmarks = [_benchmark(name=name, sides=(f"tests.bench_fakes:{side}",) * 2) for name, side in sides.items()]
    assert command.main(["--pairs", "9"], root=tmp_path, benchmarks=benchmarks) == 1
    rows = records.load(tmp_path / command.RESULTS)
    assert {name: (row.verdict(), row.reason) for name, row in rows.items()} == {
        "a": ("failed", "OSError: lib.so is gone"),
        "b": ("failed", "its process ended with code 3"),
        "c": ("not measured", "no PyTorch here"),
    }


def test_a_trial_is_not_recorded(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(measuring, "measure", lambda benchmark, pairs, progress: _row(benchmark, pairs=((1.0, 2.0),)))
    assert command.main(["--pairs", "3"], root=tmp_path, benchmarks=[_benchmark()]) == 0
    assert list(tmp_path.iterdir()) == []
    assert capsys.readouterr().out.endswith("a trial: 3 pairs are fewer than 9, nothing is recorded\n")


def test_a_side_that_does_not_answer_times_out():
    with contextlib.closing(worker.Worker(["tests.bench_fakes:silent"])) as process:
        process.timeout = 0.01
        with pytest.raises(worker.Failed, match=r"^no answer in 0\.01 s$"):
            process.measure(0)


def test_an_interruption_names_the_flag_to_resume(tmp_path, capsys, monkeypatch):
    def interrupted(benchmark, pairs, progress):
        raise KeyboardInterrupt

    monkeypatch.setattr(measuring, "measure", interrupted)
    assert command.main([], root=tmp_path, benchmarks=[_benchmark()]) == 130
    message = "\ninterrupted; finished rows are recorded, and --missing measures the others\n"
    assert capsys.readouterr().err == message


def test_an_unknown_name_on_the_command_line_is_reported(tmp_path, capsys):
    assert command.main(["b"], root=tmp_path, benchmarks=[_benchmark()]) == 2
    assert capsys.readouterr().err == "there is no benchmark 'b'\n  hint: use one of a\n"


def test_epochs_run_one_at_a_time():
    from benchmarks import epochs as benchmark_epochs

    finished = []

    def fit(callback):
        for epoch in range(3):
            callback.on_epoch_begin(epoch, {})
            finished.append(epoch)
        raise OverflowError("too far")

    epochs = benchmark_epochs.Epochs(fit)
    epochs.measure()
    assert finished == [0]
    epochs.measure()
    assert finished == [0, 1]
    with pytest.raises(RuntimeError, match=r"^training ended with OverflowError\('too far'\)$"):
        epochs.measure()


def test_bfloat16_needs_instructions_of_the_cpu(monkeypatch):
    from benchmarks import training

    monkeypatch.setattr(training.machine, "cpu_flags", lambda: ["avx2"])
    expected = r"^this CPU has no bfloat16 instructions \(avx512_bf16 or amx_bf16\)$"
    with pytest.raises(worker.Unavailable, match=expected):
        training.bfloat16("lenet")


def _benchmark(name="a", left="ours", right="theirs", sides=("m:f", "m:g"), group="Training steps", **fields):
    return Benchmark(name, left, right, sides, "s", group, **fields)


def _row(benchmark, **fields):
    defaults = {"target": benchmark.target, "command": f"again {benchmark.name}", "date": "2026-01-31"}
    return Row(
        name=benchmark.name, left=benchmark.left, right=benchmark.right, unit=benchmark.unit, **{**defaults, **fields}
    )


def _example_benchmarks():
    return [
        _benchmark(name="a", target=Target(high=0.8), note="What is timed.", commentary="Because."),
        _benchmark(name="b"),
        _benchmark(name="c", target=Target(low=1.0), group="Augmentation"),
        _benchmark(name="d", left="x|y", group="Augmentation"),
    ]


def _example_rows():
    a, b, c, _ = _example_benchmarks()
    machine = {"hardware": {"cpu": "A chip", "cores": "2", "memory": "8 GiB"}, "versions": {"keras": "3"}}
    return [
        _row(a, pairs=((1.0, 2.0), (2.0, 2.0), (1500.0, 1000.0)), facts={"PyTorch": "2.13"}, **machine),
        _row(b, pairs=((12.345, 1.0),), **machine),
        _row(c, problem="failed", reason="no answer in 900 s", versions={"keras": "3"}),
    ]


EXPECTED = """\
## Training steps

{INTRODUCTIONS[STEPS]}

![The ratios of times in the table below, from 1.00 to 12.3.](figures/benchmarks-training-steps.svg){ .cell-figure }

| left | right | ratio (quartiles) | target |
|---|---|---:|---|
| ours | theirs | **1.00** (0.75 to 1.25) | at most 0.80, missed |
| ours | theirs | **12.3** (12.3 to 12.3) |  |

*Commentary on `a`, not measured:* Because.

<details markdown>
<summary>What is measured</summary>

- `a`: What is timed. (PyTorch: 2.13)

| name | median left | median right | range of the ratio |
|---|---:|---:|---:|
| `a` | 2.00 s | 2.00 s | 0.50 to 1.50 |
| `b` | 12.3 s | 1.00 s | 12.3 to 12.3 |

</details>

## Augmentation

{INTRODUCTIONS[IMAGES]}

| left | right | ratio (quartiles) | target |
|---|---|---:|---|
| ours | theirs | failed: no answer in 900 s | at least 1.00 |
| x/y | theirs | not recorded yet |  |

"""
MACHINES = """\
<details markdown>
<summary>Machines and commands</summary>

- 2026-01-31, A chip, 2 cores, 8 GiB, keras 3: `a`, `b`
- 2026-01-31, keras 3: `c`

`make bench` measures everything again and writes this page; these commands measure single rows:

```console
$ again a
$ again b
$ again c
```

</details>
"""
