"""Features of Keras beside `fit`: LoRA, frozen weights, XLA, quantization, trackers, global seed and policy."""

import keras
import numpy as np
import pytest

import deepkit as dk
from deepkit.execution import choices, devices
from deepkit.training import callback_checks, precompiled

X = np.random.default_rng(0).normal(size=(64, 4)).astype("float32")
Y = (X[:, 0] > 0).astype("int32")
NET = dk.Sequential([dk.MLP([6]), dk.Classifier(2)])
LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def compiled_model(**kwargs):
    model = NET.build((4,))
    model.compile("adam", loss=LOSS, **kwargs)
    return model


def adapters(model):
    return [variable for variable in model.trainable_variables if "lora" in variable.path]


@pytest.fixture
def global_policy():
    yield keras.config.set_dtype_policy
    keras.config.set_dtype_policy("float32")


@pytest.mark.parametrize("change", ["freeze", "add adapters"])
def test_weights_that_changed_since_compile_are_an_error(change):
    model = compiled_model()
    model.fit(X[:32], Y[:32], verbose=0)
    if change == "freeze":
        model.layers[1].trainable = False
    else:
        model.layers[1].enable_lora(2)
    name = "frozen" if change == "freeze" else "trainable"
    with pytest.raises(ValueError, match=rf"mlp.dense/\w+ is {name} since the(.|\n)*hint: call model.compile"):
        dk.fit(model, X, Y, verbose=0)


def test_weights_may_change_before_the_first_training():
    model = compiled_model()
    model.layers[1].trainable = False
    precompiled.check_precompiled(model, dk.plan(), {})
    model.optimizer.build(model.trainable_variables)
    precompiled.check_precompiled(model, dk.plan(), {})
    model.layers[1].trainable = True  # the optimizer has no moments for these weights
    with pytest.raises(ValueError, match=r"mlp\.dense/kernel is trainable since"):
        precompiled.check_precompiled(model, dk.plan(), {})


@pytest.mark.slow
def test_only_adapters_and_biases_are_trained_and_a_saved_model_merges_them(tmp_path):
    base = NET.build((4,))
    for layer in base.layers:
        if hasattr(layer, "enable_lora"):
            layer.enable_lora(2)
        else:
            layer.trainable = False
    base.compile(keras.optimizers.Adam(0.01), loss=LOSS, metrics=["accuracy"])
    before = {variable.path: variable.numpy() for variable in base.variables}
    run = dk.fit(base, X, Y, epochs=3, run_dir=tmp_path / "run", verbose=0)
    assert run.resume == "exact"
    changed = {v.path for v in run.model.variables if not np.array_equal(v.numpy(), before[v.path])}
    biases = {"mlp.dense/bias", "classifier.dense/bias"}
    assert changed == {variable.path for variable in adapters(run.model)} | biases
    loaded = dk.load_run(tmp_path / "run")
    np.testing.assert_allclose(loaded.model.predict(X, verbose=0), run.model.predict(X, verbose=0), atol=1e-6)
    assert not any(np.any(variable.numpy()) for variable in adapters(loaded.model))


@pytest.mark.slow
def test_an_adapter_training_resumes_exactly(tmp_path):
    def fresh_model():
        with dk.plan():
            model = NET.build((4,))
            model.layers[1].enable_lora(2)
            model.compile("adam", loss=LOSS)
        return model

    whole = dk.fit(fresh_model(), X, Y, epochs=4, verbose=0)
    dk.fit(fresh_model(), X, Y, epochs=2, run_dir=tmp_path, verbose=0)
    resumed = dk.fit(fresh_model(), X, Y, epochs=4, run_dir=tmp_path, verbose=0)
    for expected, received in zip(whole.model.get_weights(), resumed.model.get_weights(), strict=True):
        np.testing.assert_array_equal(received, expected)


def test_a_model_compiled_with_xla_excludes_determinism(monkeypatch):
    monkeypatch.setattr(devices, "is_deterministic", lambda: False)
    model = compiled_model()
    model._jit_compile = True  # this process is deterministic: Keras would not compile with XLA
    plan = dk.plan(devices="CPU:0")
    assert plan.deterministic
    chosen = precompiled.plan_for(model, plan, is_default=True)
    assert not chosen.deterministic
    assert "compiled with XLA" in chosen.explain()
    with pytest.raises(ValueError, match=r"compiled with jit_compile=True(.|\n)*hint: pass plan=dk.plan\(determ"):
        precompiled.plan_for(model, plan, is_default=False)
    model._jit_compile = False
    assert precompiled.plan_for(model, plan, is_default=True) is plan


def test_requests_that_a_compiled_model_replaces_are_printed(capsys):
    plan = dk.plan(precision="mixed_bfloat16", steps_per_execution=2)
    notes = precompiled.check_precompiled(compiled_model(), plan, {}).notes
    assert notes == (
        "steps_per_execution=2 of the plan has no effect: the model is already compiled with 1",
        "precision=mixed_bfloat16 of the plan has no effect: the model is already compiled with float32",
    )
    assert precompiled.check_precompiled(compiled_model(), dk.plan(), {}).notes == ()


@pytest.mark.parametrize(
    ("policy", "hint"),
    [
        ("int8_from_float32", r"model.quantize\(\) after the training"),
        (keras.dtype_policies.DTypePolicyMap(default_policy="mixed_bfloat16"), "dtype= of the layers"),
    ],
)
def test_a_global_policy_that_cannot_be_trained(policy, hint, global_policy):
    global_policy(policy)
    with pytest.raises(ValueError, match=rf"cannot train under the global dtype policy(.|\n)*hint: .*{hint}"):
        dk.plan()


def test_a_requested_precision_replaces_the_global_policy(global_policy):
    global_policy("mixed_bfloat16")
    plan = dk.plan(precision="float32")
    assert plan.precision == "float32"
    assert "requested; replaces the global dtype policy mixed_bfloat16" in plan.explain()


def test_a_plan_takes_the_seed_of_keras():
    keras.utils.set_random_seed(42)
    assert dk.plan().seed == 42
    assert "keras.utils.set_random_seed" in dk.plan().explain()
    assert dk.plan(seed=1).seed == 1
    assert dk.plan(seed=None).seed is None
    with dk.plan(seed=7):
        assert dk.plan().seed == 7
    assert dk.plan().seed == 42
    assert choices.seed("auto", None)[0] == 0


class Tracker(keras.callbacks.Callback):
    """A callback with the interface of `wandb.integration.keras.WandbMetricsLogger`, and another argument each time."""

    def __init__(self, run_id):
        super().__init__()
        self.run_id, self.values = run_id, []

    def on_epoch_end(self, epoch, logs=None):
        self.values.append((self.run_id, epoch, sorted(logs)))


def test_the_callback_of_a_tracker_reports_a_resumed_run(tmp_path, monkeypatch, no_report):
    monkeypatch.setattr(Tracker, "__module__", "wandb.integration.keras.callbacks.metrics_logger")
    values = []
    for run_id, epochs in (("first", 1), ("second", 2)):
        tracker = Tracker(run_id)
        run = dk.fit(NET, X, Y, epochs=epochs, callbacks=[tracker], run_dir=tmp_path / "run", verbose=0)
        values += tracker.values
        assert run.resume == "exact"
    assert values == [(name, i, ["accuracy", "loss"]) for i, name in enumerate(["first", "second"])]


def test_the_callback_of_a_tracker_is_known_by_its_package(monkeypatch):
    assert not callback_checks.is_tracker(Tracker(1))
    monkeypatch.setattr(Tracker, "__module__", "mlflow.keras.callback")
    assert callback_checks.is_tracker(Tracker(1))


def test_a_list_of_callbacks_that_restores_the_model_and_a_run_dir(tmp_path):
    backup = keras.callbacks.CallbackList([keras.callbacks.BackupAndRestore(str(tmp_path / "backup"))])
    with pytest.raises(ValueError, match=r"BackupAndRestore restores the model by itself(.|\n)*hint: leave"):
        dk.fit(NET, X, Y, callbacks=[backup], run_dir=tmp_path / "run", verbose=0)
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_backup_and_restore_continues_a_training_without_a_run_dir(tmp_path):
    class Stop(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            if epoch == 1:
                raise KeyboardInterrupt

    def backup():
        return keras.callbacks.BackupAndRestore(str(tmp_path / "backup"))

    with pytest.raises(KeyboardInterrupt):
        dk.fit(NET, X, Y, epochs=4, callbacks=[backup(), Stop()], verbose=0)
    run = dk.fit(NET, X, Y, epochs=4, callbacks=[backup()], verbose=0)
    assert (run.epochs, len(run.history["loss"])) == (4, 2)


@pytest.mark.slow
def test_model_checkpoint_writes_beside_the_files_of_a_run(tmp_path):
    def best():
        return keras.callbacks.ModelCheckpoint(str(tmp_path / "best.keras"), monitor="val_loss", save_best_only=True)

    data = {"validation_data": (X, Y), "run_dir": tmp_path, "verbose": 0}
    dk.fit(NET, X, Y, epochs=2, callbacks=[best()], **data)
    run = dk.fit(NET, X, Y, epochs=4, callbacks=[best()], **data)
    assert run.resume == "exact"
    loaded = keras.models.load_model(tmp_path / "best.keras")
    losses = run.history["val_loss"]
    np.testing.assert_allclose(loaded.evaluate(X, Y, verbose=0)[0], min(losses), rtol=1e-5)
    assert dk.load_run(tmp_path).epochs == 4
