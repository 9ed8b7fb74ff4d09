"""Autotune: candidates, choices and verdicts, on fake models whose durations and losses a test determines."""

import contextlib
import dataclasses
import json
from types import SimpleNamespace

import keras
import pytest

import deepkit as dk
from deepkit.errors import RunDirError
from deepkit.execution import Measurement, devices
from deepkit.training import autotune as autotune_module
from deepkit.training import benchmark
from deepkit.training.plan_json import plan_fields, plan_to_json
from deepkit.training.run_dir import RunDir


class FakeModel:
    """Replaces `TrialModel`: a test determines the duration of a step and the loss by plan."""

    is_random = False
    milliseconds = staticmethod(lambda plan: 10.0)
    losses = staticmethod(lambda plan, draw: 2.0)
    plans: list  # of the models that were built, in order

    def __init__(self, net, data, plan, compile_args, batches):
        self.plan = plan
        self.plans.append(plan)

    def seconds_per_step(self, steps):
        assert steps % self.plan.steps_per_execution == 0
        return self.milliseconds(self.plan) / 1e3

    def loss(self, steps, *, draw=0):
        assert steps % self.plan.steps_per_execution == 0
        return self.losses(self.plan, draw)


@pytest.fixture(autouse=True)
def fake(monkeypatch, no_gpu):
    """Use fake models in a process that no plan has made deterministic."""
    cls = type("FakeModelOfTest", (FakeModel,), {"plans": []})
    monkeypatch.setattr(benchmark, "TrialModel", cls)
    monkeypatch.setattr(benchmark, "first_batches", lambda data: None)
    monkeypatch.setattr(autotune_module.gc, "collect", lambda: 0)
    monkeypatch.setattr(autotune_module, "training_data_for", lambda *arguments: FakeData())
    monkeypatch.setattr(devices, "is_deterministic", lambda: False)
    monkeypatch.setattr(dk.Plan, "__enter__", lambda self: self)
    monkeypatch.setattr(dk.Plan, "__exit__", lambda self, *exception: None)
    return cls


class FakeData:
    """Training data with `steps` batches in an epoch."""

    steps: int | None = 12
    train = None


@pytest.fixture
def set_epoch(monkeypatch):
    return lambda steps: monkeypatch.setattr(FakeData, "steps", steps)


def tune(run_dir=None, **options):
    return dk.autotune(SimpleNamespace(), None, plan=dk.plan(**options), run_dir=run_dir, verbose=0)


def verdicts(plan, field):
    return {row.value: row.verdict for row in plan.measurements if row.field == field}


def test_a_gain_within_the_noise_changes_nothing(fake):
    fake.milliseconds = staticmethod(lambda plan: 9.8 if "16" in plan.precision else 10.0)
    plan = tune()
    assert plan == dk.plan()
    assert verdicts(plan, "precision") == {
        "float32": "kept",
        "mixed_bfloat16": "differs by at most 3%, which is noise",
    }
    assert plan.auto_fields == ()


def test_the_fastest_candidate_is_chosen_field_by_field(fake, set_epoch):
    def milliseconds(plan):
        base = 10.0 if "16" in plan.precision else 20.0
        return base / (2 if plan.jit_compile else 1) + 1.0 / plan.steps_per_execution

    fake.milliseconds = staticmethod(milliseconds)
    set_epoch(120)
    plan = tune(deterministic=False)
    assert (plan.precision, plan.jit_compile, plan.steps_per_execution) == ("mixed_bfloat16", True, 16)
    assert [(p.precision, p.jit_compile, p.steps_per_execution) for p in fake.plans] == [
        ("float32", False, 1),
        ("mixed_bfloat16", False, 1),
        ("mixed_bfloat16", True, 1),
        ("mixed_bfloat16", True, 16),
        ("mixed_bfloat16", True, 64),
    ]
    assert [(row.field, row.value, row.verdict) for row in plan.measurements] == [
        ("precision", "float32", "takes 91% longer"),
        ("precision", "mixed_bfloat16", "chosen"),
        ("jit_compile", "no", "takes 83% longer"),
        ("jit_compile", "yes", "chosen"),
        ("steps_per_execution", "16", "kept"),
        ("steps_per_execution", "1", "takes 19% longer"),
        ("steps_per_execution", "64", "differs by at most 3%, which is noise"),
    ]
    reasons = dict(plan.reasons)
    assert reasons["precision"] == "measured: 11 ms a step, float32 21 ms"
    assert reasons["jit_compile"] == "measured: 6 ms a step, no 11 ms"
    assert reasons["steps_per_execution"] == "measured: 5.06 ms a step, 1 6 ms, 64 5.02 ms"


def test_only_fields_left_auto_are_measured(fake):
    plan = tune(precision="float32", jit_compile=False, deterministic=False)
    assert {p.precision for p in fake.plans} == {"float32"}
    assert [row.field for row in plan.measurements] == ["steps_per_execution"] * 2
    assert dict(plan.reasons)["precision"] == "requested"
    plan = tune(steps_per_execution=4, deterministic=False)
    assert {row.field for row in plan.measurements} == {"precision", "jit_compile"}
    assert {p.steps_per_execution for p in fake.plans[-3:]} == {4}


def test_a_plan_without_auto_fields_is_returned_unchanged(fake, capsys):
    requested = dk.plan(precision="float32", jit_compile=False, steps_per_execution=2)
    assert dk.autotune(None, None, plan=requested) is requested
    assert "no field of the plan is left 'auto'" in capsys.readouterr().out
    tuned = tune()
    fake.plans.clear()
    assert dk.autotune(None, None, plan=tuned, verbose=0) is tuned
    assert fake.plans == []


def test_a_global_policy_counts_as_requested():
    keras.config.set_dtype_policy("mixed_float16")
    plan = dk.plan()
    assert (plan.precision, plan.auto_fields) == ("mixed_float16", ("jit_compile", "steps_per_execution"))


@pytest.mark.parametrize(
    ("process_is_deterministic", "plan_is_deterministic", "reason"),
    [
        (False, True, "the plan is deterministic, and Keras compiles with XLA only without determinism"),
        (
            True,
            False,
            "an earlier plan made this process deterministic, and Keras then does not compile with XLA",
        ),
    ],
)
def test_xla_is_not_a_candidate_with_determinism(
    fake, monkeypatch, process_is_deterministic, plan_is_deterministic, reason
):
    monkeypatch.setattr(devices, "is_deterministic", lambda: process_is_deterministic)
    plan = tune(deterministic=plan_is_deterministic)
    assert not any(p.jit_compile for p in fake.plans)
    assert plan.measurements[0] == Measurement("jit_compile", "", verdict=f"not measured: {reason}")


def test_over_several_devices_only_the_precision_is_measured(monkeypatch):
    monkeypatch.setattr(devices, "available", lambda: ("CPU:0", "CPU:1"))
    plan = tune(devices=["CPU:0", "CPU:1"])
    assert [str(row) for row in plan.measurements[:2]] == [
        "jit_compile: not measured: XLA cannot compile the exchange between devices",
        "steps_per_execution: not measured: over several devices Keras takes one step at a time",
    ]
    assert {row.field for row in plan.measurements[2:]} == {"precision"}
    assert (plan.steps_per_execution, plan.jit_compile) == (1, False)


def test_a_gpu_may_be_faster_without_its_default(fake, monkeypatch):
    def milliseconds(plan):
        if plan.jit_compile:
            return 30.0
        return 20.0 if "16" in plan.precision else 40.0

    monkeypatch.setattr(devices, "available", lambda: ("CPU:0", "GPU:0"))
    monkeypatch.setattr(devices, "capability", lambda names: (8, 0))
    monkeypatch.setattr(devices, "grow_memory", lambda names, probe=False: True)
    fake.milliseconds = staticmethod(milliseconds)
    plan = tune()
    assert (plan.precision, plan.jit_compile) == ("mixed_bfloat16", False)
    assert list(verdicts(plan, "precision")) == ["mixed_bfloat16", "float32", "mixed_float16"]
    assert verdicts(plan, "jit_compile") == {"yes": "takes 50% longer", "no": "chosen"}


def test_a_candidate_with_another_loss_is_rejected_however_fast(fake):
    fake.milliseconds = staticmethod(lambda plan: 1.0 if "16" in plan.precision else 10.0)
    fake.losses = staticmethod(lambda plan, draw: 2.06 if "16" in plan.precision else 2.0)
    plan = tune()
    assert plan.precision == "float32"
    assert verdicts(plan, "precision")["mixed_bfloat16"] == "rejected: its loss is 2.06, and 2 with float32"
    assert dict(plan.reasons)["precision"] == "measured: 10 ms a step, mixed_bfloat16 rejected"


@pytest.mark.parametrize(("loss", "is_chosen"), [(2.0001, True), (2.001, False)])
def test_with_xla_the_loss_may_differ_by_rounding_only(fake, loss, is_chosen):
    fake.milliseconds = staticmethod(lambda plan: 1.0 if plan.jit_compile else 10.0)
    fake.losses = staticmethod(lambda plan, draw: loss if plan.jit_compile else 2.0)
    assert tune(precision="float32", deterministic=False).jit_compile is is_chosen


def test_the_loss_may_differ_by_the_effect_of_other_random_numbers(fake):
    fake.is_random = True
    fake.milliseconds = staticmethod(lambda plan: 1.0 if "16" in plan.precision else 10.0)
    fake.losses = staticmethod(lambda plan, draw: 2.2 if "16" in plan.precision else 2.0 + 0.05 * draw)
    assert tune().precision == "mixed_bfloat16"
    fake.losses = staticmethod(lambda plan, draw: 2.5 if "16" in plan.precision else 2.0 + 0.05 * draw)
    assert tune().precision == "float32"


def test_a_candidate_that_fails_is_recorded_with_the_error(fake):
    def loss(plan, draw):
        if "16" in plan.precision:
            raise MemoryError("\n  no room for 3 GiB\nmore")
        return 2.0

    fake.losses = staticmethod(loss)
    plan = tune()
    assert plan.precision == "float32"
    assert verdicts(plan, "precision")["mixed_bfloat16"] == "failed: MemoryError: no room for 3 GiB"


def test_the_plan_keeps_its_choices_if_every_candidate_fails(fake):
    fake.losses = staticmethod(lambda plan, draw: float("nan"))
    plan = tune()
    assert plan == dk.plan()
    assert verdicts(plan, "precision") == {
        "float32": "rejected: its loss is nan; kept, as no other candidate is eligible",
        "mixed_bfloat16": "not compared: float32 rejected: its loss is nan",
    }
    assert dict(plan.reasons)["precision"] == "could not be measured: rejected: its loss is nan"


def test_a_failure_in_a_later_round_is_recorded(fake):
    remaining = iter([True, True, True, False])

    def milliseconds(plan):
        if "16" in plan.precision and not next(remaining):
            raise RuntimeError("lost")
        return 10.0

    fake.milliseconds = staticmethod(milliseconds)
    assert verdicts(tune(), "precision") == {"float32": "kept", "mixed_bfloat16": "failed: RuntimeError: lost"}


def test_a_hopeless_candidate_is_timed_once(fake):
    fake.milliseconds = staticmethod(lambda plan: 50.0 if "16" in plan.precision else 10.0)
    row = tune().measurements[2]
    assert (row.value, row.milliseconds, row.spread) == ("mixed_bfloat16", 50.0, None)
    assert row.verdict == "takes 400% longer in the first round"


def test_a_candidate_that_is_faster_in_the_median_only_is_not_chosen(fake):
    durations = iter([10.0, 10.0, *[5.0, 5.0, 5.0, 5.0, 5.0, 11.0, 11.0]] * 9)
    fake.milliseconds = staticmethod(lambda plan: next(durations) if "16" in plan.precision else 10.0)
    plan = tune()
    assert plan.precision == "float32"
    assert verdicts(plan, "precision")["mixed_bfloat16"] == "takes 50% less, but not in every round"


@pytest.mark.parametrize(
    ("epoch", "counts"), [(None, ["16", "1"]), (469, ["16", "1", "64"]), (17, ["16", "1", "64"]), (11, ["16", "1"])]
)
def test_larger_step_counts_are_compared_in_longer_epochs(set_epoch, epoch, counts):
    set_epoch(epoch)
    assert list(verdicts(tune(), "steps_per_execution")) == counts


def test_step_counts_are_not_compared_if_they_cannot_matter(fake, set_epoch):
    set_epoch(1)
    assert tune().measurements[-1].verdict == "not measured: an epoch has only one step"
    set_epoch(12)
    fake.milliseconds = staticmethod(lambda plan: 300.0)
    plan = tune()
    assert plan.measurements[-1].verdict == (
        "not measured: at 300 ms a step, the return to Python between steps is negligible"
    )
    assert plan.steps_per_execution == 16


def test_an_unseeded_plan_is_measured_with_one_seed_and_stays_unseeded(fake):
    plan = tune(seed=None)
    seeds = {p.seed for p in fake.plans}
    assert len(seeds) == 1
    assert seeds != {None}
    assert plan.seed is None


def start_run(folder, plan):
    """Write the config that `fit` writes when a run starts under a plan."""
    config = {"plan": plan_fields(plan), "requested_plan": plan_to_json(plan)}
    with RunDir(folder).lock() as run_dir:
        run_dir.check_or_write_config(config)


def test_a_run_that_has_started_keeps_its_choices(fake, tmp_path):
    fake.milliseconds = staticmethod(lambda plan: 5.0 if "16" in plan.precision else 10.0)
    plan = tune(run_dir=tmp_path / "run")
    assert plan.precision == "mixed_bfloat16"
    assert not (tmp_path / "run").exists()
    start_run(tmp_path / "run", plan)
    fake.milliseconds = staticmethod(lambda plan: 5.0 if plan.precision == "float32" else 10.0)
    fake.plans.clear()
    again = tune(run_dir=tmp_path / "run")
    assert (again, again.measurements, again.auto_fields, fake.plans) == (plan, plan.measurements, (), [])
    assert dict(again.reasons)["precision"] == "as measured before the run started"


def test_requested_fields_are_not_taken_from_the_run_that_has_started(tmp_path):
    start_run(tmp_path, dk.plan(seed=3))
    assert tune(run_dir=tmp_path, seed=4) == dk.plan(seed=4)  # fit then reports the difference


def test_a_run_that_started_without_autotune_is_not_measured(fake, tmp_path):
    start_run(tmp_path, dk.plan(steps_per_execution=3))
    plan = tune(run_dir=tmp_path)
    assert (plan, plan.measurements, fake.plans) == (dk.plan(steps_per_execution=3), (), [])
    assert dict(plan.reasons)["precision"] == "as in the run that has started, which was not measured"


@pytest.mark.parametrize("measurements", [[{"speed": 1}], [3]])
def test_damaged_measurements_of_a_run_are_reported(tmp_path, measurements):
    stored = plan_to_json(dk.plan()) | {"measurements": measurements}
    RunDir(tmp_path).write("config.json", json.dumps({"requested_plan": stored}))
    with pytest.raises(RunDirError, match=r"config.json is damaged .*\n  hint: "):
        tune(run_dir=tmp_path)


def test_a_damaged_config_of_a_run_is_reported(tmp_path):
    RunDir(tmp_path).write("config.json", "{")
    with pytest.raises(RunDirError, match=r"config.json is damaged .*\n  hint: "):
        tune(run_dir=tmp_path)


def test_the_learning_rate_is_passed_on_as_fit_does(monkeypatch):
    options = []

    def choose(self, *arguments):
        options.append(self._compile_args)
        raise StopIteration

    monkeypatch.setattr(benchmark.Benchmark, "build_model", choose)
    with contextlib.suppress(StopIteration):
        dk.autotune(SimpleNamespace(), None, optimizer="sgd", learning_rate=0.25, loss="mse", verbose=0)
    assert float(options[0]["optimizer"].learning_rate) == 0.25
    assert type(options[0]["optimizer"]).__name__ == "SGD"
    assert options[0]["loss"] == "mse"


def test_measurements_are_printed(capsys):
    plan = dk.autotune(SimpleNamespace(), None, plan=dk.plan(precision="float32"))
    printed = capsys.readouterr().out.splitlines()
    assert printed[1] == "timing steps_per_execution; this can take a minute or two"
    assert [line for line in printed if line.startswith("  ")] == [f"  {row}" for row in plan.measurements]


def test_the_plan_must_be_a_plan():
    with pytest.raises(TypeError, match=r"plan: expected a Plan, received str\n  hint: pass plan=dk.plan"):
        dk.autotune(None, None, plan="fast")


def test_a_measurement_is_readable():
    row = Measurement("precision", "float32", 5.1234, (5.0, 123.4), 2.30259, "kept")
    assert row.cells() == ("precision", "float32", "5.12", "5 to 123", "2.3026", "kept")
    assert len(row.cells()) == len(Measurement.columns)
    assert str(row) == "precision=float32: 5.12 ms a step, kept"
    assert json.loads(json.dumps(dataclasses.asdict(row)))["spread"] == [5.0, 123.4]
    assert str(Measurement("jit_compile", "", verdict="not measured: why")) == "jit_compile: not measured: why"
