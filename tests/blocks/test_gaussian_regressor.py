"""Regression with uncertainty: the output, the loss, the metrics and the labels of a Gaussian `dk.Regressor`."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers, losses, metrics
from scipy.stats import norm

import deepkit as dk
from deepkit.errors import LabelError
from deepkit.losses import GaussianNegativeLogLikelihood, MetricOfMean

PLAN = dk.plan(devices="CPU:0", seed=0)
X = np.random.default_rng(0).normal(size=(48, 4)).astype("float32")
Y = (X[:, 0] - X[:, 1] + 3).astype("float32")
HEAD = dk.Regressor(distribution="gaussian")


def fit(net, data, **kwargs):
    return dk.fit(net, data, **{"verbose": 0, "plan": PLAN, **kwargs})


def outputs(mean, stddev):
    return np.stack([mean, stddev], axis=-1).astype("float32")


def test_the_output_is_the_mean_and_the_standard_deviation_of_the_gaussian_head():
    model = dk.Regressor(3, distribution="gaussian").build((4,))
    rng = np.random.default_rng(1)
    model.set_weights([rng.normal(size=weight.shape) for weight in model.get_weights()])
    mean, stddev = dk.mean_and_stddev(model.predict(X, verbose=0))
    dense = {name: model.get_layer(name).get_weights() for name in ("mean", "log_variance")}
    np.testing.assert_allclose(mean, X @ dense["mean"][0] + dense["mean"][1], rtol=1e-4, atol=1e-5)
    log_variance = X @ dense["log_variance"][0] + dense["log_variance"][1]
    np.testing.assert_allclose(stddev, 1e-6 + np.exp(log_variance / 2), rtol=1e-4)
    assert mean.shape == stddev.shape == (48, 3)


def test_the_first_standard_deviation_is_1_at_any_scale_of_the_inputs():
    head = dk.Regressor(2, distribution="gaussian", dense={"kernel_initializer": "ones", "bias_initializer": "ones"})
    prediction = dk.mean_and_stddev(head.build((4,))(1000 * X))
    np.testing.assert_allclose(prediction.stddev, 1, rtol=1e-5)
    np.testing.assert_allclose(prediction.mean[:, 0], 1 + 1000 * X.sum(1), rtol=1e-3, atol=1e-2)


@pytest.mark.parametrize(("log_variance", "stddev"), [(-1e4, 1e-6), (0.0, 1.000001), (1e4, np.exp(40.0))])
def test_the_standard_deviation_is_positive_and_finite(log_variance, stddev):
    moments = {"mean": np.zeros((1, 1), "float32"), "log_variance": np.full((1, 1), log_variance, "float32")}
    result = dk.layers.MeanAndStddev()(moments)
    assert float(result[0, 0, 1]) == pytest.approx(stddev, rel=1e-5)
    assert np.isfinite(GaussianNegativeLogLikelihood()(np.ones(1), result))


def test_the_layer_refuses_other_inputs():
    with pytest.raises(ValueError, match=r"MeanAndStddev: mean and log_variance must have one shape, received \(2,\)"):
        dk.layers.MeanAndStddev()([np.zeros((1, 2)), np.zeros((1, 3))])
    with pytest.raises(
        ValueError, match=r"MeanAndStddev: expected the mean and the log variance.*\n  hint: use dk.Gau"
    ):
        dk.layers.MeanAndStddev()(np.zeros((1, 2)))


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_it_computes_in_float32_under_mixed_precision(policy):
    keras.config.set_dtype_policy(policy)
    model = dk.Sequential([dk.MLP([4]), dk.Regressor(2, distribution="gaussian")]).build((4,))
    assert model.output.dtype == "float32"
    separate = dk.Sequential([dk.GaussianHead(2), dk.layers.MeanAndStddev()]).build((4,))
    assert separate(X).dtype == "float32"


def test_a_head_at_each_position_keeps_the_mask():
    embedding = layers.Embedding(5, 3, mask_zero=True)
    model = dk.Sequential([embedding, dk.Regressor(pool=None, distribution="gaussian")]).build((4,))
    tokens = np.array([[1, 2, 0, 0], [3, 4, 1, 2]])
    model.compile(loss=GaussianNegativeLogLikelihood())
    mean, stddev = dk.mean_and_stddev(model(tokens))
    values = -norm.logpdf(np.ones((2, 4)), mean[..., 0], stddev[..., 0])
    loss = model.evaluate(tokens, np.ones((2, 4, 1)), verbose=0)
    assert loss == pytest.approx(values[tokens != 0].mean(), rel=1e-5)


@pytest.mark.parametrize(
    ("kwargs", "problem", "hint"),
    [
        (
            {"distribution": "gaussians"},
            "Regressor: distribution must be one of None, 'gaussian', received 'gaussians'; did you mean 'gaussian'?",
            'use distribution="gaussian" for a mean and a standard deviation',
        ),
        (
            {"distribution": "poisson"},
            "Regressor: distribution must be one of None, 'gaussian', received 'poisson'",
            'use distribution="gaussian" for a mean and a standard deviation',
        ),
        (
            {"distribution": "gaussian", "activation": "relu"},
            "Regressor: activation='relu' cannot be combined with distribution='gaussian', "
            "whose mean may be any number",
            "leave out activation or distribution",
        ),
    ],
)
def test_invalid_arguments(kwargs, problem, hint):
    with pytest.raises(dk.DefinitionError) as caught:
        dk.Regressor(**kwargs)
    assert (caught.value.problem, caught.value.hint) == (problem, hint)


@pytest.mark.parametrize("scale", [1e-5, 1.0, 1e5])
def test_the_loss_equals_the_density_of_scipy(scale):
    rng = np.random.default_rng(0)
    y, mean = scale * rng.normal(size=(2, 7, 3))
    stddev = scale * rng.uniform(0.1, 3, (7, 3))
    expected = -norm.logpdf(y, mean, stddev).mean(-1)
    loss = GaussianNegativeLogLikelihood(reduction="none")(y, outputs(mean, stddev))
    np.testing.assert_allclose(loss, expected, rtol=1e-4, atol=1e-5)
    weighted = GaussianNegativeLogLikelihood()(y, outputs(mean, stddev), sample_weight=np.arange(7))
    assert float(weighted) == pytest.approx((expected * np.arange(7)).mean(), rel=1e-4)


def test_labels_of_one_unit_may_lack_the_last_axis():
    loss = GaussianNegativeLogLikelihood(reduction="none")
    prediction = outputs(np.zeros((5, 1)), np.ones((5, 1)))
    y = np.arange(5)
    np.testing.assert_array_equal(loss(y, prediction), loss(y[:, None].astype("float32"), prediction))


@pytest.mark.parametrize("y", [np.zeros(5), np.zeros((5, 1)), np.zeros((5, 3)), np.zeros((5, 2, 1))])
def test_the_loss_never_broadcasts_labels(y):
    problem = (
        rf"expected labels of shape \(5, 2\), received \({', '.join(map(str, y.shape))},?\)\n  hint: use one label"
    )
    with pytest.raises(ValueError, match=problem):
        GaussianNegativeLogLikelihood()(y, outputs(np.zeros((5, 2)), np.ones((5, 2))))


@pytest.mark.parametrize(
    ("prediction", "received", "hint"),
    [
        (np.zeros((5, 2)), r"<ndarray of shape \(5, 2\)", r'use dk.Regressor\(units, distribution="gaussian"\)'),
        (np.zeros((5, 1, 3)), r"<ndarray of shape \(5, 1, 3\)", "use dk.Regressor"),
        ({"price": np.zeros((5, 1, 2))}, r"\{'price'", r"pass one output: prediction\['price'\]"),
        ([1, 2], r"\[1, 2\]", "use dk.Regressor"),
    ],
)
def test_only_a_prediction_with_mean_and_standard_deviation_is_split(prediction, received, hint):
    with pytest.raises(ValueError, match=rf"expected an output of shape .* received {received}.*\n  hint: {hint}"):
        dk.mean_and_stddev(prediction)


def test_metrics_apply_to_the_mean():
    chosen = [metrics.MeanSquaredError(name="mse"), "RootMeanSquaredError", losses.Huber(), metrics.R2Score]
    run = fit(dk.Sequential([HEAD]), (X, Y), metrics=chosen, validation_data=(X, Y))
    results = run.model.evaluate(X, Y, batch_size=48, verbose=0, return_dict=True)
    mean = dk.mean_and_stddev(run.model.predict(X, verbose=0)).mean
    assert results["mse"] == pytest.approx(np.square(mean[:, 0] - Y).mean(), rel=1e-5)
    assert results["RootMeanSquaredError"] == pytest.approx(results["mse"] ** 0.5, rel=1e-5)
    assert results["huber_loss"] == pytest.approx(float(losses.Huber()(Y[:, None], mean)), rel=1e-5)
    assert results["r2_score"] == pytest.approx(1 - results["mse"] / Y.var(), rel=1e-4)
    assert results["loss"] == pytest.approx(run.history["val_loss"][-1], rel=1e-6)


def test_metrics_of_the_user_receive_mean_and_standard_deviation():
    def mean_stddev(y_true, y_pred):
        return y_pred[:, 0, 1]

    chosen = [mean_stddev, GaussianNegativeLogLikelihood(name="nll")]
    run = fit(dk.Sequential([HEAD]), (X, Y), metrics=chosen, batch_size=48)
    assert run.history["mean_stddev"][0] == pytest.approx(1, rel=1e-3)
    assert run.history["nll"] == pytest.approx(run.history["loss"], rel=1e-5)


def test_a_metric_of_classes_is_refused():
    with pytest.raises(ValueError, match="metrics: Recall is a metric of classes, but the head predicts numbers"):
        fit(dk.Sequential([HEAD]), (X, Y), metrics=[metrics.Recall()])


def test_a_metric_of_the_mean_takes_a_metric():
    with pytest.raises(TypeError, match=r"metric must be a Keras metric, received 'mae'\n  hint: use MetricOfMean\("):
        MetricOfMean("mae")


@pytest.mark.parametrize("loss", ["mse", losses.Huber(), losses.mean_absolute_error])
def test_a_stock_loss_is_refused(loss):
    with pytest.raises(ValueError, match=r"compares each label with one number, but .*\n  hint: leave loss out, or"):
        fit(dk.Sequential([HEAD]), (X, Y), loss=loss)


def test_the_likelihood_needs_a_gaussian_head():
    hint = r'hint: use dk.Regressor\(units, distribution="gaussian"\)'
    with pytest.raises(ValueError, match=rf"expected an output of shape \(batch, units, 2\).*\n  {hint}"):
        fit(dk.Sequential([dk.Regressor(2)]), (X, X[:, :2]), loss=GaussianNegativeLogLikelihood())


def test_a_loss_of_the_user_receives_mean_and_standard_deviation():
    def loss(y_true, y_pred):
        mean, stddev = dk.mean_and_stddev(y_pred)
        return keras.ops.mean(keras.ops.abs(y_true - mean) + 0 * stddev, axis=-1)

    run = fit(dk.Sequential([HEAD]), (X, Y[:, None]), loss=loss)
    assert run.history["loss"] == pytest.approx(run.history["mae"], rel=1e-5)


@pytest.mark.parametrize("y", [Y, Y.astype("int32")[:, None]])
def test_labels_with_and_without_the_last_axis(y):
    assert np.isfinite(fit(dk.Sequential([HEAD]), (X, y)).history["loss"]).all()


@pytest.mark.parametrize(
    ("units", "y", "expected", "received"),
    [
        (1, X, r"\(batch, 1\) or \(batch,\)", r"shape \(batch, 4\)\n.*\n  hint: use dk.Regressor\(4, distribution="),
        (3, Y, r"\(batch, 3\)", r"shape \(batch,\)\n.*\n  hint: use dk.Regressor\(distribution="),
        (2, X[:, :2, None], r"\(batch, 2\)", r"shape \(batch, 2, 1\)"),
        (2, np.stack([X[:, :2]] * 2, -1), r"\(batch, 2\)", r"shape \(batch, 2, 2\)"),
    ],
)
def test_labels_of_another_shape(units, y, expected, received):
    with pytest.raises(
        LabelError, match=rf"finite numbers of shape {expected} for dk.Regressor\(.*, received {received}"
    ):
        fit(dk.Sequential([dk.Regressor(units, distribution="gaussian")]), (X, y))


def test_labels_of_a_dataset_that_are_nan():
    y = Y.copy()
    y[3] = np.nan
    data = tf.data.Dataset.from_tensor_slices((X, y)).batch(8)
    with pytest.raises(
        LabelError, match=r"for dk.Regressor\(distribution=.gaussian.\), received nan \(at index 3 of a"
    ):
        fit(dk.Sequential([HEAD]), data)


def heads():
    nodes = {
        "features": ("x", dk.MLP([4])),
        "price": ("features", dk.Regressor(2, distribution="gaussian")),
        "kind": ("features", dk.Classifier(3)),
    }
    return dk.Functional(inputs={"x": dk.Input((4,))}, nodes=nodes, outputs=["price", "kind"])


@pytest.mark.slow
def test_a_graph_with_a_gaussian_head_and_a_classifier():
    y = {"price": X[:, :2], "kind": np.arange(48) % 3}
    run = fit(heads(), (X, y), validation_data=(X, y), loss_weights={"price": 0.5})
    assert {"price_mae", "kind_accuracy", "val_price_loss"} <= set(run.history)
    assert dk.mean_and_stddev(run.model.predict(X, verbose=0)["price"]).mean.shape == (48, 2)
    with pytest.raises(ValueError, match=r"loss\['price'\]: 'mse' compares each label with one number"):
        fit(heads(), (X, y), loss={"price": "mse", "kind": losses.SparseCategoricalCrossentropy(from_logits=True)})


def test_a_saved_model_loads_with_its_loss_and_metrics(tmp_path):
    net = dk.Sequential([dk.MLP([4]), dk.Regressor(2, distribution="gaussian")])
    run = fit(net, (X, X[:, :2]), metrics=["mae", "mse"])
    run.model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert type(loaded.loss) is GaussianNegativeLogLikelihood
    expected = run.model.evaluate(X, X[:, :2], verbose=0, return_dict=True)
    assert loaded.evaluate(X, X[:, :2], verbose=0, return_dict=True) == expected
    assert set(expected) == {"loss", "mae", "mse"}


@pytest.mark.slow
def test_a_run_resumes_exactly(tmp_path):
    net = dk.Sequential([dk.MLP([4]), HEAD])
    whole = fit(net, (X, Y), epochs=2, batch_size=16)
    fit(net, (X, Y), epochs=1, batch_size=16, run_dir=tmp_path / "run")
    resumed = fit(net, (X, Y), epochs=2, batch_size=16, run_dir=tmp_path / "run")
    assert resumed.resume == "exact"
    assert resumed.history == whole.history
    for weight, expected in zip(resumed.model.get_weights(), whole.model.get_weights(), strict=True):
        np.testing.assert_array_equal(weight, expected)


def test_training_finds_the_mean_and_the_standard_deviation_of_equal_examples():
    y = np.random.default_rng(0).normal(size=256)
    y = (3 + 2 * (y - y.mean()) / y.std()).astype("float32")
    model = HEAD.build((1,))
    model.compile(keras.optimizers.Adam(0.1), GaussianNegativeLogLikelihood())
    data = tf.data.Dataset.from_tensors((np.zeros((256, 1), "float32"), y)).repeat(300)
    model.fit(data, shuffle=False, verbose=0)
    mean, stddev = dk.mean_and_stddev(model(np.zeros((1, 1))))
    assert float(mean[0, 0]) == pytest.approx(3, rel=0.02)
    assert float(stddev[0, 0]) == pytest.approx(2, rel=0.02)
