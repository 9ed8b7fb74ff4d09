"""The GPU benchmark: its records, its page and its charts, and a dry run on the CPU."""

import json
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest

from benchmarks import gpu, gpu_cases, gpu_charts, gpu_page, gpu_records, gpu_steps, gpu_workloads
from benchmarks.gpu_backend import Evaluation
from benchmarks.gpu_nets import NETS
from benchmarks.gpu_records import Check, Choice, DeviceTime, KernelShare, PartResult, Run, StepTime
from benchmarks.nets import graph
from benchmarks.records import RecordsError

ROOT = Path(__file__).parent.parent


# deviations and tolerances


def test_the_deviation_is_relative_to_the_norm_of_each_array():
    references = [np.array([3.0, 4.0]), np.array([0.0, 5.0])]
    assert gpu_cases.deviation([np.array([3.0, 4.5]), np.array([0.0, 5.0])], references) == pytest.approx(0.1)
    assert gpu_cases.deviation(references, references) == 0
    assert gpu_cases.deviation([], []) == 0


def test_an_array_that_is_zero_but_for_rounding_is_compared_with_the_others():
    references = [np.array([1.0]), np.array([1e-9])]
    assert gpu_cases.deviation([np.array([1.0]), np.array([2e-9])], references) < 1e-8


@pytest.mark.parametrize("array", [np.array([np.nan, 1.0]), np.array([1.0]), np.array([np.inf, 1.0])])
def test_the_deviation_of_other_shapes_and_of_numbers_that_are_not_finite_is_infinite(array):
    assert gpu_cases.deviation([array], [np.array([1.0, 1.0])]) == float("inf")
    assert gpu_cases.deviation([], [np.array([1.0])]) == float("inf")


def _evaluation(outputs, gradients):
    return Evaluation([], [], [np.array(outputs)], [np.array(gradients)])


def test_a_check_fails_above_its_tolerance():
    reference = _evaluation([1.0], [1.0])
    check = gpu_cases.compare("mlp", "float32", _evaluation([1.0], [1.001]), reference, reference)
    assert (check.verdict(), check.outputs) == ("failed", 0)
    assert check.gradients == pytest.approx(0.001)
    assert gpu_cases.compare("mlp", "float32", reference, reference, reference).verdict() == "passed"


def test_the_tolerance_in_16_bits_grows_with_the_rounding_of_the_cpu():
    mixed = _evaluation([1.0], [1.0])
    tolerances = []
    for gradient in (1.01, 1.1, 9.0):
        check = gpu_cases.compare("mlp", "mixed_bfloat16", mixed, mixed, _evaluation([1.0], [gradient]))
        tolerances.append((check.outputs_tolerance, round(check.gradients_tolerance, 3)))
    assert tolerances == [(0.05, 0.05), (0.05, 0.182), (0.05, 0.5)]


def test_a_case_that_raises_is_failed_and_one_without_a_reference_is_unsupported_on_jax(monkeypatch):
    reference = _evaluation([1.0], [1.0])
    assert gpu_cases.compare("mlp", "float32", "OSError: gone", reference, reference).verdict() == "failed"
    assert gpu_cases.compare("mlp", "float32", "OSError: gone", "OSError: gone", "").verdict() == "failed"
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    assert gpu_cases.compare("mlp", "float32", "OSError: gone", "OSError: gone", "").verdict() == "unsupported"


def test_cases_are_evaluated_with_the_variables_of_the_reference():
    (case,) = gpu_cases.select_cases(["mlp_norm"])
    ((name, first),) = gpu_cases.evaluate_cases([case], "float32", None, lambda: False)
    assert name == "mlp_norm"
    assert len(first.gradients) == len(first.trainable) + 1  # and that of the inputs
    variables = replace(first, trainable=[2 * value for value in first.trainable])
    ((_, second),) = gpu_cases.evaluate_cases([case], "float32", {"mlp_norm": variables}, lambda: False)
    assert np.any(second.outputs[0] != first.outputs[0])
    assert keras.config.dtype_policy().name == "float32"


def test_no_case_is_evaluated_after_the_deadline():
    assert list(gpu_cases.evaluate_cases(gpu_cases.select_cases(["mlp"]), "float32", None, lambda: True)) == []


def test_references_are_stored_and_loaded(tmp_path):
    gpu_cases._write_references(tmp_path / "references.npz", ["float32"], ["classifier"])
    with np.load(tmp_path / "references.npz") as arrays:
        outcomes = gpu_cases._unpack({**arrays, "float32/text/problem": np.array("OSError: gone")})
    assert outcomes["float32", "text"] == "OSError: gone"
    evaluation = outcomes["float32", "classifier"]
    shapes = [[array.shape for array in arrays] for arrays in (evaluation.trainable, evaluation.outputs)]
    assert shapes == [[(192, 3), (3,)], [(3, 3)]]


# nets and times


@pytest.mark.parametrize("name", ["lenet", "attention", "resnet50"])
def test_the_handwritten_net_has_the_same_layers(name):
    size = gpu_workloads.DRY_SIZES[name]
    assert graph(NETS[name].deepkit(size)) == graph(NETS[name].handwritten(size))


@pytest.mark.parametrize(("name", "num_weights"), [("bilstm", 2_757_890), ("vae", 815_824), ("transformer", 2_841_602)])
def test_the_handwritten_net_has_as_many_weights(name, num_weights):
    models = [getattr(NETS[name], side)(gpu_workloads.SIZES[name]) for side in ("deepkit", "handwritten")]
    sizes = [sum(weight.value.numpy().size for weight in model.trainable_weights) for model in models]
    assert sizes == [num_weights] * 2


def test_the_share_outside_kernels():
    assert gpu_steps.outside_share({128: 2.0, 1024: 2.875, 8192: 9.875}) == pytest.approx(0.9375, abs=0.001)
    assert gpu_steps.outside_share({10: 1.0, 100: 10.0}) == 0
    assert gpu_steps.outside_share({10: 1.0, 100: 0.9}) == 1


# parts


def _session(seconds, *, dry=False):
    return gpu.Session(("GPU:0",), dry, time.monotonic() + seconds)


def test_a_part_that_needs_more_than_the_rest_of_the_time_is_skipped(capsys):
    part = gpu.Part("steps", 40, lambda session: pytest.fail("it ran"))
    result = gpu._run_part(part, _session(10), "[1/1]")
    assert result.problem == "skipped: it takes about 40 s, and 10 s are left"
    assert "skipped: it takes about 40 s, and 10 s are left" in capsys.readouterr().out


def test_a_part_that_raises_is_a_failed_part():
    def broken(session):
        raise OSError("/usr/lib/libcuda.so is gone")

    result = gpu._run_part(gpu.Part("kernels", 1, broken), _session(10), "[1/1]")
    assert result.problem == "failed: OSError: libcuda.so is gone"
    assert _run(parts=(result,)).has_failed()


def test_parts_without_tensorflow_or_with_one_device_say_so(monkeypatch):
    assert gpu._measure_devices(_session(10)).problem == "not measured: there is one device"
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    for part in (gpu._measure_devices, gpu._compare_choices):
        assert part(_session(10)).problem == "not measured: `dk.fit` and `dk.autotune` need TensorFlow"
    assert gpu._mixed_policy() == "mixed_bfloat16"


def test_every_part_has_a_type_of_rows_and_the_checks_are_first():
    assert [part.name for part in gpu.PARTS] == list(gpu_records.ROW_TYPES)
    assert gpu.PARTS[0].name == "checks"


# records, page and charts


def _check(case="mlp", **changes):
    return Check(case, "float32", **{"outputs": 1e-7, "gradients": 2e-7, "outputs_tolerance": 1e-4,
                                     "gradients_tolerance": 1e-4, **changes})  # fmt: skip


def _run(**changes):
    parts = (
        PartResult("checks", 61.0, rows=(_check(), _check("gan", gradients=None), _check("text", gradients=0.5))),
        PartResult("choices", 40.0, rows=(
            Choice("LeNet-5", "precision", "mixed_bfloat16", "float32", {"float32": 1.5, "mixed_bfloat16": 2.0}),
            Choice("LeNet-5", "jit_compile", "yes", "yes", note="not measured: a reason"),
        )),
        PartResult("kernels", 5.0, rows=(KernelShare("LeNet-5", 128, 0.9, {"128": 1.0, "1024": 1.1}),)),
        PartResult("devices", 9.0, rows=(DeviceTime("LeNet-5", 1, 4096, 8.0), DeviceTime("LeNet-5", 2, 4096, 5.0))),
        PartResult("steps", 90.0, rows=(
            StepTime("LeNet-5", "deepkit", (1.0, 2.0, 3.0)),
            StepTime("LeNet-5", "Keras", (1.0, 2.5, 3.0)),
            StepTime("LeNet-5", "PyTorch", problem="not measured: PyTorch is not installed"),
        ), facts={"PyTorch": "2.13"}),
    )  # fmt: skip
    run = Run("tensorflow", ("A GPU",), "again", "2026-01-31", {"cpu": "A chip", "cores": "2"}, {"keras": "3"}, parts)
    return replace(run, **changes)


def test_a_recorded_run_is_loaded_unchanged(tmp_path):
    runs = [_run(), _run(backend="jax"), _run(gpus=())]
    gpu_records.save(tmp_path / "results.json", runs)
    loaded = gpu_records.load(tmp_path / "results.json")
    assert loaded == {"tensorflow": runs[0], "jax": runs[1], "dry": runs[2]}


def test_a_file_that_is_not_a_results_file_is_reported(tmp_path, capsys):
    path = tmp_path / "benchmarks" / "gpu_results.json"
    path.parent.mkdir()
    path.write_text("{}")
    assert gpu.main(["--page"], root=tmp_path) == 2
    assert capsys.readouterr().err.startswith(f"{path} is not a results file (KeyError: 'format')")
    path.write_text('{"format": 9}')
    with pytest.raises(RecordsError, match="has format 9, expected 1"):
        gpu_records.load(path)


def test_the_page_shows_failed_checks_with_deviation_and_tolerance():
    text = gpu_page.render({"tensorflow": _run()})
    assert "## TensorFlow on A GPU" in text
    assert "| float32 | 2 passed, 1 failed | 1.0e-07 (`text`) | 5.0e-01 (`text`) |" in text
    assert "- `text` in float32: gradients deviate by 0.5, tolerance 0.0001" in text
    assert gpu_page.summary(_run()).splitlines() == [
        "text in float32: gradients deviate by 0.5, tolerance 0.0001",
        "3 checks, 1 failed; on A GPU",
    ]
    assert "No GPU has been measured" not in text


def test_the_page_shows_every_measurement():
    text = gpu_page.render({"tensorflow": _run()})
    rows = [
        "| LeNet-5, precision | mixed_bfloat16 | float32 | float32: 1.5, mixed_bfloat16: 2 |",
        "| LeNet-5, jit_compile | yes | yes | not measured: a reason |",
        "The plan chose as `dk.autotune` did in 0 of 1 measured fields.",
        "**90%** of a step of LeNet-5 on 128 examples is spent outside kernels. Step times: 128 examples: 1 ms, "
        "1,024 examples: 1.1 ms.",
        "| LeNet-5 | 2 | 5 | 1.6 |",
        "| LeNet-5 | 2 | 2.5 (1) | not measured: PyTorch is not installed |",
        "- Machine: 2026-01-31, A GPU, A chip, 2 cores, keras 3, PyTorch 2.13",
        "- Parts: checks 61 s, choices 40 s, kernels 5 s, devices 9 s, steps 90 s",
    ]
    assert [row for row in rows if row not in text] == []


def test_the_page_says_that_no_gpu_was_measured():
    dry = _run(gpus=())
    for runs in ({}, {"dry": dry}):
        assert "**No GPU has been measured yet.**" in gpu_page.render(runs)
    text = gpu_page.render({"dry": dry})
    assert "it compares the CPU with the CPU" in text
    assert "Step times:" not in text  # those of a dry run mean nothing
    assert gpu_page.summary(dry).endswith("dry: the CPU was compared with the CPU, no GPU is measured")


def test_unsupported_cases_are_listed_with_their_reason():
    check = Check("text", "float32", problem="ImportError: no strings", is_unsupported=True)
    run = _run(backend="jax", parts=(PartResult("checks", rows=(check,)),))
    text = gpu_page.render({"jax": run})
    assert "<summary>Cases that Keras cannot run on JAX</summary>" in text
    assert "- `text`: ImportError: no strings" in text
    assert not run.has_failed()


def test_a_run_on_a_gpu_has_charts_and_a_dry_run_has_none():
    run = _run()
    figures = gpu_charts.figures({"tensorflow": run, "dry": _run(gpus=())})
    assert list(figures) == ["figures/gpu-tensorflow-checks.svg", "figures/gpu-tensorflow-steps.svg"]
    text = gpu_page.render({"tensorflow": run})
    assert [path for path in figures if path not in text] == []
    (row,) = gpu_charts.step_rows(run)
    assert (row.left, row.right, row.pairs) == ("LeNet-5, deepkit", "Keras", ((1.0, 1.0), (0.8, 1.0), (1.0, 1.0)))


def test_the_page_in_the_documentation_follows_from_the_recorded_results(capsys):
    assert gpu.main(["--check"]) == 0
    assert capsys.readouterr().out == "docs/gpu_benchmarks.md: up to date\n"


def test_recorded_runs_have_no_paths_of_the_machine():
    text = (ROOT / "benchmarks" / "gpu_results.json").read_text()
    assert not [path for path in ("/root", "/home", "/tmp", "/usr") if path in text]


def test_a_failed_check_makes_the_exit_code_1_and_a_dry_run_keeps_the_runs_on_a_gpu(tmp_path, monkeypatch, capsys):
    (tmp_path / "benchmarks").mkdir()
    gpu_records.save(tmp_path / gpu.RESULTS, [_run()])
    dry = _run(gpus=(), parts=(PartResult("checks", rows=(_check(outputs=float("nan")),)),))
    monkeypatch.setattr(gpu, "run_parts", lambda **arguments: dry)
    assert gpu.main(["--dry"], root=tmp_path) == 1
    assert "mlp in float32: outputs deviate by nan, tolerance 0.0001\n1 checks, 1 failed" in capsys.readouterr().out
    assert set(gpu_records.load(tmp_path / gpu.RESULTS)) == {"tensorflow", "dry"}
    assert gpu.main(["--check"], root=tmp_path) == 0
    (tmp_path / gpu.PAGE).write_text("typed")
    assert gpu.main(["--check"], root=tmp_path) == 1


@pytest.mark.slow
def test_a_dry_run_takes_every_part(tmp_path):
    path = tmp_path / "results.json"
    command = [sys.executable, "-m", "benchmarks.gpu", "--dry", "--results", str(path)]
    process = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stdout + process.stderr
    (run,) = [run for run in json.loads(path.read_text())["runs"] if not run["gpus"]]
    assert run["command"] == "python -m benchmarks.gpu --dry"
    assert {part["name"]: part["problem"] for part in run["parts"]} == dict.fromkeys(gpu_records.ROW_TYPES, "")
    assert [len(part["rows"]) > 0 for part in run["parts"]] == [True] * 5
    deviations = [row["outputs"] for row in run["parts"][0]["rows"]]
    assert max(deviations) < 1e-5
