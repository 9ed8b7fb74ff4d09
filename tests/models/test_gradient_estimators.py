"""Gradient estimators: unbiased against closed forms, variance, use in a training step, and errors."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from deepkit.losses import MovingBaseline, pathwise, score_function
from deepkit.losses.likelihoods import gaussian_log_prob

NUM_DRAWS = 1_000_000
MU, SIGMA, A = 0.7, 0.5, -0.4
NOISE = np.random.default_rng(0).normal(size=NUM_DRAWS).astype("float32")


def cost(x):
    return (x - A) ** 2  # its expectation is (mu - a)^2 + sigma^2


def gradient(surrogate, *parameters):
    """Return the gradient of the mean of a surrogate, a function of the parameters."""
    variables = [tf.Variable(value, dtype="float32") for value in parameters]
    with tf.GradientTape() as gradient_tape:
        loss = ops.mean(surrogate(*variables))
    return [float(value) for value in gradient_tape.gradient(loss, variables)]


def score_samples(baseline):
    """Return (f(x) - b) d log p / d(mu, sigma) of each sample, computed in NumPy."""
    x = MU + SIGMA * NOISE
    score = np.stack([(x - MU) / SIGMA**2, ((x - MU) ** 2 / SIGMA**2 - 1) / SIGMA])
    return (cost(x) - baseline) * score


def pathwise_samples():
    return 2 * (MU + SIGMA * NOISE - A) * np.stack([np.ones(NUM_DRAWS), NOISE])


def check_unbiased(estimate, samples):
    """Check an estimate against the closed form within five standard errors, and against the mean of its samples."""
    exact = [2 * (MU - A), 2 * SIGMA]
    errors = samples.std(axis=1) / np.sqrt(NUM_DRAWS)
    assert np.all(np.abs(estimate - np.array(exact)) < 5 * errors)
    np.testing.assert_allclose(estimate, samples.mean(axis=1), rtol=2e-4)


@pytest.mark.parametrize("baseline", [None, 1.5, "of each sample"])
def test_the_score_function_of_a_gaussian_is_unbiased(baseline):
    x = MU + SIGMA * NOISE  # constants: no gradient flows through the samples
    value = np.linspace(0, 3, NUM_DRAWS, dtype="float32") if isinstance(baseline, str) else baseline

    def surrogate(mu, sigma):
        return score_function(gaussian_log_prob(x, mu, 2 * ops.log(sigma)), cost(x), baseline=value)

    check_unbiased(gradient(surrogate, MU, SIGMA), score_samples(0 if value is None else value))


def test_the_pathwise_estimator_of_a_gaussian_is_unbiased():
    check_unbiased(gradient(lambda mu, sigma: cost(pathwise(mu, sigma, NOISE)), MU, SIGMA), pathwise_samples())


def test_a_baseline_reduces_the_variance_and_the_pathwise_estimator_has_less():
    exact_mean = cost(MU) + SIGMA**2
    plain, with_baseline, path = score_samples(0), score_samples(exact_mean), pathwise_samples()
    assert np.all(plain.var(axis=1) > with_baseline.var(axis=1))
    assert np.all(with_baseline.var(axis=1) > path.var(axis=1))


@pytest.mark.parametrize("baseline", [None, 2.0])
def test_the_score_function_of_a_bernoulli_is_unbiased(baseline):
    theta, rewards = 0.4, np.array([1.0, 3.0], "float32")
    probability = 1 / (1 + np.exp(-theta))
    x = (np.random.default_rng(1).random(NUM_DRAWS) < probability).astype("int32")

    def surrogate(logit):
        log_probability = ops.where(x == 1, ops.log_sigmoid(logit), ops.log_sigmoid(-logit))
        return score_function(log_probability, rewards[x], baseline=baseline)

    (estimate,) = gradient(surrogate, theta)
    samples = (rewards[x] - (baseline or 0)) * (x - probability)
    exact = probability * (1 - probability) * (rewards[1] - rewards[0])
    assert abs(estimate - exact) < 5 * samples.std() / np.sqrt(NUM_DRAWS)
    assert estimate == pytest.approx(samples.mean(), rel=2e-4)


def test_reward_and_baseline_are_constants_of_the_surrogate():
    log_probability, reward, baseline = (tf.Variable([0.5, -1.0]) for _ in range(3))
    with tf.GradientTape() as gradient_tape:
        surrogate = score_function(log_probability, reward * 3.0, baseline=baseline)
    gradients = gradient_tape.gradient(surrogate, [log_probability, reward, baseline])
    assert gradients[1:] == [None, None]
    np.testing.assert_allclose(gradients[0], 2 * np.array([0.5, -1.0]))
    assert surrogate.shape == (2,)


def test_sixteen_bit_log_probabilities_and_unknown_sizes():
    result = score_function(tf.constant([-1.0], "float16"), tf.constant([2.0]), baseline=tf.constant(0.5))
    assert result.dtype == "float32"
    assert float(result[0]) == -1.5
    spec = tf.TensorSpec([None], "float32")
    function = tf.function(score_function, input_signature=[spec, tf.TensorSpec(None, "float32")])
    np.testing.assert_allclose(function([-1.0, -2.0], [1.0, 2.0]), [-1, -4])


def test_further_axes_of_the_noise_draw_several_samples():
    mean, stddev, noise = np.ones((4, 3)), np.full((4, 3), 2.0), np.random.default_rng(0).normal(size=(5, 4, 3))
    np.testing.assert_allclose(pathwise(mean, stddev, noise), 1 + 2 * noise, rtol=1e-6)


def test_the_moving_baseline_is_the_mean_of_the_earlier_batches():
    layer = MovingBaseline(momentum=0.8)
    rewards = np.random.default_rng(0).random((6, 4)).astype("float32")
    for t in range(6):
        weights = 0.8 ** np.arange(t)[::-1]
        expected = np.average(rewards[:t].mean(axis=1), weights=weights) if t else rewards[0].mean()
        assert float(layer(rewards[t], training=False)) == pytest.approx(expected, rel=1e-5)
        assert float(layer(rewards[t])) == pytest.approx(expected, rel=1e-5)


@keras.saving.register_keras_serializable(package="test_gradient_estimators")
class Bandit(keras.Model):
    """A policy over three actions, of which one pays; trained with the score function in a compiled step."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.policy = keras.layers.Dense(3, kernel_initializer="zeros")
        self.baseline = MovingBaseline(0.9)
        self.random = keras.random.SeedGenerator(1)

    def call(self, x):
        return ops.softmax(self.policy(x))

    def train_step(self, data):
        x, y, _ = keras.utils.unpack_x_y_sample_weight(data)
        with tf.GradientTape() as gradient_tape:
            logits = self.policy(x)
            action = keras.random.categorical(logits, 1, seed=self.random)[:, 0]
            log_probability = ops.take_along_axis(ops.log_softmax(logits), action[:, None], axis=-1)[:, 0]
            reward = 10.0 + ops.cast(ops.equal(action, ops.cast(y, action.dtype)), "float32")
            loss = -ops.mean(score_function(log_probability, reward, baseline=self.baseline(reward)))
        gradients = gradient_tape.gradient(loss, self.policy.trainable_weights)
        self.optimizer.apply(gradients, self.policy.trainable_weights)
        return {"reward": ops.mean(reward)}


def test_a_compiled_training_step_with_a_moving_baseline_learns_and_is_saved(tmp_path):
    x, y = np.ones((64, 2), "float32"), np.full(64, 2, "int32")
    model = Bandit()
    model.compile(keras.optimizers.SGD(1.0))
    model.fit(x, y, batch_size=32, epochs=12, verbose=0)
    assert model(x)[0, 2] > 0.8
    assert 10.5 < float(model.baseline(np.zeros(1), training=False)) < 11
    model.save(tmp_path / "bandit.keras")
    loaded = keras.models.load_model(tmp_path / "bandit.keras")
    assert loaded.baseline.momentum == 0.9
    for before, after in zip(model.baseline.weights, loaded.baseline.weights, strict=True):
        assert float(before) == float(after)


def test_the_moving_baseline_keeps_float32_under_mixed_precision():
    keras.config.set_dtype_policy("mixed_float16")
    layer = MovingBaseline(0.5)
    for reward in (1e5, 1e5):
        value = layer(np.array([reward], "float32"))
    assert value.dtype == "float32"
    assert float(value) == 1e5
    assert MovingBaseline.from_config(layer.get_config()).dtype_policy.name == "float32"


VECTOR = np.zeros(4, "float32")


@pytest.mark.parametrize(
    ("log_probability", "reward", "baseline", "text"),
    [
        (VECTOR, VECTOR[:3], None, r"reward must have the shape \(4,\), received \(3,\)\n  hint: use ops.sum"),
        (VECTOR, VECTOR[:, None], None, r"reward must have the shape \(4,\), received \(4, 1\)\n  hint: use ops.sum"),
        (VECTOR[:, None], VECTOR, None, r"reward must have the shape \(4, 1\), received \(4,\)\n .*expand_dims"),
        (VECTOR, VECTOR, VECTOR[:, None], r"baseline must have the shape \(4,\), received \(4, 1\)\n .*ops.squeeze"),
    ],
)
def test_shapes_that_do_not_match_are_refused(log_probability, reward, baseline, text):
    with pytest.raises(ValueError, match=f"score_function: {text}"):
        score_function(log_probability, reward, baseline=baseline)


@pytest.mark.parametrize("reward", [np.arange(4), np.zeros(4, bool)])
def test_integer_rewards_are_refused(reward):
    text = rf'reward must be floats, received {reward.dtype} of shape \(4,\)\n  hint: use ops.cast\(..., "float32"\)'
    with pytest.raises(TypeError, match=f"score_function: {text}"):
        score_function(VECTOR, reward)
    with pytest.raises(TypeError, match=f"MovingBaseline: {text}"):
        MovingBaseline()(reward)


@pytest.mark.parametrize(
    ("mean", "stddev", "noise", "text"),
    [
        (VECTOR, VECTOR[:2], VECTOR, r"stddev must have the shape \(4,\), received \(2,\)\n  hint: use one standard"),
        (VECTOR, 1.0, VECTOR[:, None], r"noise must have the shape \(..., 4\), received \(4, 1\)\n  hint: draw"),
        (VECTOR[:, None], 1.0, VECTOR, r"noise must have the shape \(..., 4, 1\), received \(4,\)\n  hint: draw"),
        (VECTOR, -1, VECTOR, "stddev must be at least 0, received -1\n  hint: use ops.softplus"),
    ],
)
def test_invalid_gaussians_are_refused(mean, stddev, noise, text):
    with pytest.raises(ValueError, match=f"pathwise: {text}"):
        pathwise(mean, stddev, noise)


@pytest.mark.parametrize("momentum", [1.0, -0.1, "0.9"])
def test_an_invalid_momentum_is_refused(momentum):
    with pytest.raises(ValueError, match=r"MovingBaseline: momentum must be a fraction in \[0, 1\), received"):
        MovingBaseline(momentum)


@pytest.mark.parametrize("value", [None, 10**400, [1.0, None]])
def test_values_that_are_not_tensors_are_refused(value):
    with pytest.raises(TypeError, match=r"score_function: reward must be floats, received .*\n  hint: pass a tensor"):
        score_function(VECTOR, value)


def test_the_average_of_a_layer_in_half_precision_is_float32():
    baseline = MovingBaseline(dtype="float16")
    rewards = [baseline(np.full(2, value, "float16")) for value in (1.0, 2.0, 2.0)]
    assert rewards[-1].dtype == "float32"
    np.testing.assert_allclose(rewards[-1], (0.9 * 0.1 + 0.1 * 2) / 0.19, rtol=1e-5)


@pytest.mark.parametrize("reward", [[1.0, np.nan], [np.inf, 1.0], []])
def test_rewards_that_are_not_finite_are_refused_and_do_not_change_the_average(reward):
    baseline = MovingBaseline()
    baseline(np.full(2, 3.0, "float32"))
    reward = tf.constant(reward, "float32")
    problem = "MovingBaseline: the rewards must be finite numbers, received NaN, infinity or no reward"
    with pytest.raises(ValueError, match=f"{problem}\n  hint: look for NaN"):
        baseline(reward)
    with pytest.raises(tf.errors.InvalidArgumentError, match=problem):
        tf.function(lambda value: baseline(value))(reward)
    np.testing.assert_allclose(baseline(np.zeros(2, "float32")), 3.0, rtol=1e-6)
