"""A training step of the user that returns a loss must track it: Keras would report 0.0."""

import keras
import numpy as np
import pytest
from keras import ops

import deepkit as dk

X = np.random.default_rng(0).random((32, 3)).astype("float32")


class Untracked(keras.Model):
    """A model whose training step returns a loss without a metric."""

    def train_step(self, data):
        x, y = data
        return self.report(ops.mean(ops.square(self(x) - y)))

    def report(self, loss):
        return {"loss": loss}


class Tracked(Untracked):
    """A model whose training step updates Keras's tracker."""

    def report(self, loss):
        self._loss_tracker.update_state(loss)
        return {"loss": loss}


class WithMetric(Untracked):
    """A model with a metric of its own for the loss."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.tracker = keras.metrics.Mean("loss")

    @property
    def metrics(self):
        return [self.tracker]

    def report(self, loss):
        self.tracker.update_state(loss)
        return self.get_metrics_result()


class WithoutLoss(Untracked):
    """A model whose training step returns another number."""

    def report(self, loss):
        return {"distance": loss}


def compiled(cls):
    inputs = keras.Input((3,))
    model = cls(inputs, keras.layers.Dense(1)(inputs))
    model.compile("sgd", jit_compile=False)
    return model


def test_a_loss_that_no_metric_tracks_is_refused(tmp_path):
    model = compiled(Untracked)
    with pytest.raises(
        ValueError, match=r"the train_step of Untracked '.*' returns a loss that no metric tracks"
    ) as error:
        dk.fit(model, X, X[:, :1], verbose=0, run_dir=tmp_path / "run")
    assert "would report loss 0.0\n  hint: call self._loss_tracker.update_state(loss) in train_step" in str(error.value)
    assert keras.Model.fit(model, X, X[:, :1], verbose=0).history["loss"] == [0.0]


@pytest.mark.parametrize(("cls", "name"), [(Tracked, "loss"), (WithMetric, "loss"), (WithoutLoss, "distance")])
def test_other_training_steps_are_accepted(cls, name):
    run = dk.fit(compiled(cls), X, X[:, :1], verbose=0)
    assert run.history[name][0] > 0
