"""Measuring: what is compared, what is taken and what refused; on trials that are told how long they take."""

import dataclasses
import json
from types import SimpleNamespace

import keras
import pytest

import deepkit as dk
from deepkit.errors import RunDirError
from deepkit.execution import devices
from deepkit.execution.plan import Measurement
from deepkit.training import autotune as measure
from deepkit.training import benchmark as bench
from deepkit.training.run_dir import RunDir

NOTHING = {"optimizer": None, "loss": None, "metrics": None}


class Told:
    """In place of a trial: takes as long, and has the loss, that a test says of its plan."""

    draws = False
    milliseconds = staticmethod(lambda plan: 10.0)
    losses = staticmethod(lambda plan, draw: 2.0)
    plans: list  # that were built, in order

    def __init__(self, net, feed, plan, compiled, batches):
        self.plan, self.left = plan, 1000
        self.plans.append(plan)

    def seconds(self, steps):
        assert steps % self.plan.steps_per_execution == 0
        return self.milliseconds(self.plan) / 1e3

    def loss(self, steps, *, draw=0):
        assert steps % self.plan.steps_per_execution == 0
        return self.losses(self.plan, draw)


@pytest.fixture(autouse=True)
def told(monkeypatch, no_gpu):
    """Measure trials that are told what to say, as if no plan had made this process deterministic."""
    kind = type("ToldHere", (Told,), {"plans": []})
    monkeypatch.setattr(bench, "Trial", kind)
    monkeypatch.setattr(bench, "first_batches", lambda feed: None)
    monkeypatch.setattr(measure.gc, "collect", lambda: 0)
    monkeypatch.setattr(devices, "repeats_bits", lambda: False)
    return kind


def settle(plan, epoch=12, folder=None, compiled=NOTHING):
    return measure.settle(object(), SimpleNamespace(steps=epoch), plan, compiled, folder, verbose=0)


def verdicts(rows, field):
    return {row.value: row.verdict for row in rows if row.field == field}


def test_nothing_is_changed_for_a_gain_that_may_be_noise(told):
    told.milliseconds = staticmethod(lambda plan: 9.8 if "16" in plan.precision else 10.0)
    plan, rows = settle(dk.plan(measure=True))
    assert plan == dk.plan(steps_per_execution=12)
    assert verdicts(rows, "precision") == {
        "float32": "kept",
        "mixed_bfloat16": "no different by more than 3%, which is noise",
    }
    assert not plan.measure


def test_what_is_faster_is_taken_field_by_field(told):
    def milliseconds(plan):
        base = 10.0 if "16" in plan.precision else 20.0
        return base / (2 if plan.jit_compile else 1) + 1.0 / plan.steps_per_execution

    told.milliseconds = staticmethod(milliseconds)
    plan, rows = settle(dk.plan(measure=True, deterministic=False), epoch=120)
    assert (plan.precision, plan.jit_compile, plan.steps_per_execution) == ("mixed_bfloat16", True, 15)
    assert [(p.precision, p.jit_compile, p.steps_per_execution) for p in told.plans] == [
        ("float32", False, 1),
        ("mixed_bfloat16", False, 1),
        ("mixed_bfloat16", True, 1),
        ("mixed_bfloat16", True, 15),
        ("mixed_bfloat16", True, 60),
    ]
    assert [(row.field, row.value, row.verdict) for row in rows] == [
        ("precision", "float32", "takes 91% longer"),
        ("precision", "mixed_bfloat16", "taken"),
        ("jit_compile", "no", "takes 83% longer"),
        ("jit_compile", "yes", "taken"),
        ("steps_per_execution", "15", "kept"),
        ("steps_per_execution", "1", "takes 18% longer"),
        ("steps_per_execution", "60", "no different by more than 3%, which is noise"),
    ]
    reasons = dict(plan.reasons)
    assert reasons["precision"] == "measured: 11 ms a step, float32 21 ms"
    assert reasons["jit_compile"] == "measured: 6 ms a step, no 11 ms"
    assert reasons["steps_per_execution"] == "measured: 5.07 ms a step, 1 6 ms, 60 5.02 ms"


def test_what_was_given_is_no_candidate(told):
    plan, rows = settle(dk.plan(measure=True, precision="float32", jit_compile=False, deterministic=False))
    assert {p.precision for p in told.plans} == {"float32"}
    assert [row.field for row in rows] == ["steps_per_execution"] * 2
    assert dict(plan.reasons)["precision"] == "asked for"
    plan, rows = settle(dk.plan(measure=True, steps_per_execution=4, deterministic=False))
    assert {row.field for row in rows} == {"precision", "jit_compile"}
    assert {p.steps_per_execution for p in told.plans[-3:]} == {4}
    plan, rows = settle(dk.plan(measure=True, precision="float32", jit_compile=False, steps_per_execution=2))
    assert (rows, dict(plan.reasons)["measure"]) == ((), "nothing was open")


def test_a_global_policy_counts_as_given():
    keras.config.set_dtype_policy("mixed_float16")
    plan = dk.plan(measure=True)
    assert (plan.precision, plan.undecided) == ("mixed_float16", ("jit_compile", "steps_per_execution"))


@pytest.mark.parametrize(
    ("repeats", "deterministic", "why"),
    [
        (False, True, "the plan is deterministic, and Keras compiles with XLA only without it"),
        (True, False, "an earlier plan made this process deterministic, where Keras does not compile with XLA"),
    ],
)
def test_xla_is_no_candidate_where_the_bits_repeat(told, monkeypatch, repeats, deterministic, why):
    monkeypatch.setattr(devices, "repeats_bits", lambda: repeats)
    _, rows = settle(dk.plan(measure=True, deterministic=deterministic))
    assert not any(p.jit_compile for p in told.plans)
    assert rows[0] == Measurement("jit_compile", "", verdict=f"not measured: {why}")
    assert f"not jit_compile: {why}" in dict(dk.plan(measure=True, deterministic=deterministic).reasons)["measure"]


def test_over_several_devices_only_precision_is_open(told, monkeypatch):
    monkeypatch.setattr(devices, "available", lambda: ("CPU:0", "CPU:1"))
    asked = dk.plan(devices=["CPU:0", "CPU:1"], measure=True)
    assert dict(asked.reasons)["measure"] == (
        "open: dk.fit times precision before it trains; not jit_compile: XLA cannot compile the exchange between "
        "devices; not steps_per_execution: over several devices Keras takes one step at a time"
    )
    plan, rows = settle(asked)
    assert [(row.field, row.value) for row in rows[:2]] == [("jit_compile", ""), ("steps_per_execution", "")]
    assert {row.field for row in rows[2:]} == {"precision"}
    assert (plan.steps_per_execution, plan.jit_compile) == (1, False)


def test_a_gpu_may_be_faster_without_its_default(told, monkeypatch):
    monkeypatch.setattr(devices, "available", lambda: ("CPU:0", "GPU:0"))
    monkeypatch.setattr(devices, "capability", lambda names: (8, 0))
    monkeypatch.setattr(devices, "grow_memory", lambda names, probe=False: True)
    told.milliseconds = staticmethod(
        lambda plan: 30.0 if plan.jit_compile else 20.0 if "16" in plan.precision else 40.0
    )
    plan, rows = settle(dk.plan(measure=True))
    assert (plan.precision, plan.jit_compile) == ("mixed_bfloat16", False)
    assert list(verdicts(rows, "precision")) == ["mixed_bfloat16", "float32", "mixed_float16"]
    assert verdicts(rows, "jit_compile") == {"yes": "takes 50% longer", "no": "taken"}


def test_another_loss_is_refused_however_fast(told):
    told.milliseconds = staticmethod(lambda plan: 1.0 if "16" in plan.precision else 10.0)
    told.losses = staticmethod(lambda plan, draw: 2.06 if "16" in plan.precision else 2.0)
    plan, rows = settle(dk.plan(measure=True))
    assert plan.precision == "float32"
    assert verdicts(rows, "precision")["mixed_bfloat16"] == "refused: its loss is 2.06, and 2 with float32"
    assert dict(plan.reasons)["precision"] == "measured: 10 ms a step, mixed_bfloat16 refused"


@pytest.mark.parametrize(("loss", "taken"), [(2.0001, True), (2.001, False)])
def test_xla_and_steps_must_have_the_same_loss_but_for_rounding(told, loss, taken):
    told.milliseconds = staticmethod(lambda plan: 1.0 if plan.jit_compile else 10.0)
    told.losses = staticmethod(lambda plan, draw: loss if plan.jit_compile else 2.0)
    assert settle(dk.plan(measure=True, precision="float32", deterministic=False))[0].jit_compile is taken


def test_a_loss_may_differ_by_what_other_random_numbers_make_of_it(told):
    told.draws = True
    told.milliseconds = staticmethod(lambda plan: 1.0 if "16" in plan.precision else 10.0)
    told.losses = staticmethod(lambda plan, draw: 2.2 if "16" in plan.precision else 2.0 + 0.05 * draw)
    assert settle(dk.plan(measure=True))[0].precision == "mixed_bfloat16"
    told.losses = staticmethod(lambda plan, draw: 2.5 if "16" in plan.precision else 2.0 + 0.05 * draw)
    assert settle(dk.plan(measure=True))[0].precision == "float32"


def test_a_candidate_that_fails_is_a_row(told):
    def loss(plan, draw):
        if "16" in plan.precision:
            raise MemoryError("\n  no room for 3 GiB\nmore")
        return 2.0

    told.losses = staticmethod(loss)
    plan, rows = settle(dk.plan(measure=True))
    assert plan.precision == "float32"
    assert verdicts(rows, "precision")["mixed_bfloat16"] == "failed: MemoryError: no room for 3 GiB"


def test_where_all_fails_the_choices_stand(told):
    told.losses = staticmethod(lambda plan, draw: float("nan"))
    plan, rows = settle(dk.plan(measure=True))
    assert plan == dk.plan(steps_per_execution=12)
    assert verdicts(rows, "precision") == {
        "float32": "refused: its loss is nan; kept, as nothing else can be taken",
        "mixed_bfloat16": "not compared: float32 refused: its loss is nan",
    }
    assert dict(plan.reasons)["precision"] == "could not be measured: refused: its loss is nan"


def test_a_failure_between_rounds_is_a_row_too(told):
    def milliseconds(plan):
        if "16" in plan.precision:
            told.left = getattr(told, "left", 4) - 1
            if not told.left:
                raise RuntimeError("lost")
        return 10.0

    told.milliseconds = staticmethod(milliseconds)
    _, rows = settle(dk.plan(measure=True))
    assert verdicts(rows, "precision") == {"float32": "kept", "mixed_bfloat16": "failed: RuntimeError: lost"}


def test_the_hopeless_are_looked_at_once(told):
    told.milliseconds = staticmethod(lambda plan: 50.0 if "16" in plan.precision else 10.0)
    _, rows = settle(dk.plan(measure=True))
    row = rows[2]
    assert (row.value, row.milliseconds, row.spread) == ("mixed_bfloat16", 50.0, None)
    assert row.verdict == "takes 400% longer, at the first look"


def test_faster_in_the_median_but_not_steadily_is_not_enough(told):
    taken = iter([10.0, 10.0, *[5.0, 5.0, 5.0, 5.0, 5.0, 11.0, 11.0]] * 9)
    told.milliseconds = staticmethod(lambda plan: next(taken) if "16" in plan.precision else 10.0)
    plan, rows = settle(dk.plan(measure=True))
    assert plan.precision == "float32"
    assert verdicts(rows, "precision")["mixed_bfloat16"] == "takes 50% less, but not in every round"


@pytest.mark.parametrize(
    ("epoch", "counts"),
    [(None, ["16", "1"]), (96, ["16", "1", "48"]), (469, ["7", "1"]), (17, ["1", "17"]), (11, ["11", "1"])],
)
def test_steps_that_divide_an_epoch_are_compared(epoch, counts):
    _, rows = settle(dk.plan(measure=True), epoch=epoch)
    assert list(verdicts(rows, "steps_per_execution")) == counts


def test_steps_are_not_compared_where_they_cannot_matter(told):
    _, rows = settle(dk.plan(measure=True), epoch=1)
    assert rows[-1].verdict == "not measured: only 1 divides the 1 steps of an epoch"
    told.milliseconds = staticmethod(lambda plan: 300.0)
    plan, rows = settle(dk.plan(measure=True))
    assert rows[-1].verdict == "not measured: at 300 ms a step, the way back to Python does not count"
    assert plan.steps_per_execution == 16  # of which fit makes 12


def test_an_unseeded_plan_measures_with_some_seed_and_stays_unseeded(told):
    plan, _ = settle(dk.plan(measure=True, seed=None))
    seeds = {p.seed for p in told.plans}
    assert len(seeds) == 1
    assert seeds != {None}
    assert plan.seed is None


def test_a_run_that_has_begun_keeps_its_choices(told, tmp_path):
    with RunDir(tmp_path).lock() as folder:
        told.milliseconds = staticmethod(lambda plan: 5.0 if "16" in plan.precision else 10.0)
        plan, rows = settle(dk.plan(measure=True), folder=folder)
        assert plan.precision == "mixed_bfloat16"
        assert measure.load(folder) == rows
        folder.check_or_write_config({"plan": plan.choices()})
        told.milliseconds = staticmethod(lambda plan: 5.0 if plan.precision == "float32" else 10.0)
        told.plans.clear()
        again, now = settle(dk.plan(measure=True), folder=folder)
    assert (again, now, told.plans) == (plan, (), [])
    assert dict(again.reasons)["precision"] == "as measured when the run began"
    assert dict(again.reasons)["measure"] == "not again: the run has begun"


def test_a_run_that_began_without_measuring_goes_on_as_it_is(tmp_path):
    with RunDir(tmp_path).lock() as folder:
        folder.check_or_write_config({"plan": dk.plan(steps_per_execution=3).choices()})
        plan, rows = settle(dk.plan(measure=True), folder=folder)
    assert (plan, rows) == (dk.plan(steps_per_execution=3), ())
    assert dict(plan.reasons)["precision"] == "as when the run began, without measuring"


@pytest.mark.parametrize("damage", ["{", '[{"speed": 1}]', "[3]"])
def test_a_damaged_table_is_named(tmp_path, damage):
    folder = RunDir(tmp_path)
    assert measure.load(folder) == ()
    folder.write(measure.FILE, damage)
    with pytest.raises(
        RunDirError, match=r"measurements.json is damaged .*\n  hint: moving it away; the report shows it"
    ):
        measure.load(folder)


def test_a_table_that_cannot_be_written_ends_before_training(tmp_path, monkeypatch):
    def full(path, content):
        raise OSError(28, "No space left on device")

    with RunDir(tmp_path).lock() as folder:
        monkeypatch.setattr("deepkit.utils.files.atomic_write", full)
        with pytest.raises(RunDirError, match="No space left on device; nothing was trained"):
            settle(dk.plan(measure=True), folder=folder)


def test_a_row_reads_well():
    row = Measurement("precision", "float32", 5.1234, (5.0, 123.4), 2.30259, "kept")
    assert row.cells() == ("precision", "float32", "5.12", "5 to 123", "2.3026", "kept")
    assert str(row) == "precision=float32: 5.12 ms a step, kept"
    assert json.loads(json.dumps(dataclasses.asdict(row)))["spread"] == [5.0, 123.4]
    assert str(Measurement("jit_compile", "", verdict="not measured: why")) == "jit_compile: not measured: why"
