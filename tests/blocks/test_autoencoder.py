"""Autoencoders: parameter counts of the papers, the mirrored layers, tied weights, and the two halves of a model."""

import keras
import numpy as np
import pytest
from keras import layers

import deepkit as dk


def mlp(*units, **kwargs):
    return dk.MLP(list(units), activation="sigmoid", **kwargs)


def random_array(*shape, seed=0):
    return np.random.default_rng(seed).random(shape).astype("float32")


def halves(model):
    code = model.get_layer("code").output
    return keras.Model(model.input, code), keras.Model(code, model.output)


@pytest.mark.parametrize(
    ("encoder", "tied", "count"),
    [
        (mlp(500), False, 785_284),
        (mlp(500), True, 393_284),
        (mlp(1000), False, 1_569_784),
        # Hinton & Salakhutdinov 2006: logistic layers, a linear code, and the mirrored layers
        ([mlp(1000, 500, 250), layers.Dense(30)], False, 2_837_314),
        ([mlp(1000, 500, 250), layers.Dense(2)], False, 2_823_286),
    ],
)
def test_parameter_counts_of_the_papers(encoder, tied, count):
    model = dk.Autoencoder(encoder, tied_weights=tied, activation="sigmoid").build((784,))
    assert (model.count_params(), model.output_shape) == (count, (None, 784))


def test_mirrored_dense_layers_equal_a_keras_model():
    model = dk.Autoencoder([mlp(6, 4), layers.Dense(2)], activation="sigmoid").build((9,))
    received = [
        (layer.name, getattr(layer, "units", layer.get_config().get("activation")))
        for layer in model.layers
        if isinstance(layer, layers.Dense | layers.Activation)
    ]
    assert received == [
        ("encoder.mlp.dense1", 6),
        ("encoder.mlp.activation1", "sigmoid"),
        ("encoder.mlp.dense2", 4),
        ("encoder.mlp.activation2", "sigmoid"),
        ("encoder.dense", 2),
        ("decoder.dense1", 4),
        ("decoder.activation1", "sigmoid"),
        ("decoder.dense2", 6),
        ("decoder.activation2", "sigmoid"),
        ("decoder.dense3", 9),
        ("output", "sigmoid"),
    ]
    reference = keras.Sequential([keras.Input((9,))])
    for units, activation in (
        (6, "sigmoid"),
        (4, "sigmoid"),
        (2, None),
        (4, "sigmoid"),
        (6, "sigmoid"),
        (9, "sigmoid"),
    ):
        reference.add(layers.Dense(units, activation=activation))
    reference.set_weights(model.get_weights())
    x = random_array(5, 9)
    np.testing.assert_allclose(model(x), reference(x), rtol=1e-5)


def test_a_layer_with_an_activation_is_mirrored_like_a_block():
    short = dk.Autoencoder([layers.Dense(6, activation="tanh"), layers.Dense(3)]).build((9,))
    long = dk.Autoencoder([dk.MLP([6], activation="tanh"), layers.Dense(3)]).build((9,))
    long.set_weights(short.get_weights())
    x = random_array(4, 9)
    np.testing.assert_allclose(long(x), short(x), rtol=1e-5)


def test_tied_dense_layers_equal_numpy():
    model = dk.Autoencoder(mlp(4, 3), tied_weights=True, activation="sigmoid").build((6,))
    for weight in model.trainable_weights:  # initial biases of zero would hide a mistake
        weight.assign(random_array(*weight.shape, seed=len(weight.path)) - 0.5)
    first, second = model.get_layer("encoder.mlp.dense1"), model.get_layer("encoder.mlp.dense2")
    w1, b1, c1 = (np.asarray(w) for w in (first.kernel, first.bias, first.reverse_bias))
    w2, b2, c2 = (np.asarray(w) for w in (second.kernel, second.bias, second.reverse_bias))

    def sigmoid(a):
        return 1 / (1 + np.exp(-a))

    x = random_array(5, 6)
    code = sigmoid(sigmoid(x @ w1 + b1) @ w2 + b2)
    expected = sigmoid(sigmoid(code @ w2.T + c2) @ w1.T + c1)
    np.testing.assert_allclose(model(x), expected, rtol=1e-5)
    encoder, decoder = halves(model)
    np.testing.assert_allclose(encoder(x), code, rtol=1e-5)
    np.testing.assert_allclose(decoder(code), expected, rtol=1e-5)


def test_tied_convolutions_equal_a_keras_model():
    """Masci et al. 2011, section 3: the decoder has the flipped kernel, and a bias for each channel."""
    net = dk.Autoencoder([layers.Conv2D(4, 3, activation="tanh"), dk.ConvBlock(5, norm=None)], tied_weights=True)
    model = net.build((7, 6, 2))
    assert model.count_params() == (3 * 3 * 2 * 4 + 4 + 2) + (3 * 3 * 4 * 5 + 5 + 4)
    for weight in model.trainable_weights:
        weight.assign(random_array(*weight.shape, seed=len(weight.path)) - 0.5)
    first, second = model.get_layer("encoder.conv2d"), model.get_layer("encoder.conv_block.conv")
    reference = keras.Sequential(
        [
            keras.Input((7, 6, 2)),
            layers.Conv2D(4, 3, activation="tanh"),
            layers.Conv2D(5, 3, padding="same", activation="relu"),
            layers.Conv2DTranspose(4, 3, padding="same", activation="tanh"),
            layers.Conv2DTranspose(2, 3),
        ]
    )
    encoder_weights = [tied.layer.get_weights() for tied in (first, second)]
    decoder_weights = [[tied.layer.kernel.numpy(), tied.reverse_bias.numpy()] for tied in (second, first)]
    reference.set_weights([weight for layer in encoder_weights + decoder_weights for weight in layer])
    x = random_array(3, 7, 6, 2)
    np.testing.assert_allclose(model(x), reference(x), rtol=1e-4, atol=1e-5)


def test_tied_dense_layers_and_convolutions_of_every_kind_in_one_net(tmp_path):
    grouped = {"groups": 2, "kernel_regularizer": keras.regularizers.L2(0.1)}
    encoder = [
        dk.ConvBlock(4, strides=2, conv=grouped),
        layers.Conv2D(3, 2, dilation_rate=2, use_bias=False),
        layers.MaxPooling2D(2),
        dk.MLP([5]),
    ]
    model = dk.Autoencoder(encoder, tied_weights=True).build((9, 11, 2))
    # kernels once, biases only if no normalization follows, both normalizations of four channels
    kernels = 3 * 3 * 1 * 4 + 2 * 2 * 4 * 3 + 6 * 5
    assert model.count_params() == kernels + 2 + 4 * 4 + (5 + 6) + 4 * 4
    regularized = model.get_layer("encoder.conv_block.conv").layer.kernel
    np.testing.assert_allclose(float(sum(model.losses)), 0.1 * np.sum(np.square(regularized)), rtol=1e-5)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    x = random_array(2, 9, 11, 2)
    assert model(x).shape == x.shape
    np.testing.assert_array_equal(loaded(x), model(x))
    encoder_half, decoder_half = halves(loaded)
    np.testing.assert_allclose(decoder_half(encoder_half(x)), model(x), rtol=1e-5)


@pytest.mark.parametrize("tied", [False, True])
def test_the_two_halves_can_be_saved_and_loaded(tied, tmp_path):
    model = dk.Autoencoder(mlp(4), tied_weights=tied, corruption=dk.MaskingNoise(0.5)).build((3, 2))
    x = random_array(5, 3, 2)
    for number, half in enumerate(halves(model)):
        half.save(tmp_path / f"{number}.keras")
    encoder, decoder = (keras.models.load_model(tmp_path / f"{number}.keras") for number in (0, 1))
    np.testing.assert_allclose(decoder(encoder(x)), model(x), rtol=1e-6)


@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize("strides", [(1, 2, 3), (2, 3, 1), (3, 1, 2)])
@pytest.mark.parametrize("window", [1, 2, 3, 4])
def test_convolutions_and_poolings_are_mirrored_to_every_size(window, strides, padding):
    """Each of three sizes with each stride and window: a volume tests three of them at once."""
    shape = (5, 6, 7, 1)
    convolution = dk.ConvBlock(1, kernel_size=window, strides=strides, norm=None, conv={"padding": padding})
    for encoder in (convolution, layers.MaxPooling3D(window, strides, padding=padding)):
        model = dk.Autoencoder(encoder).build(shape)
        assert model.output_shape == (None, *shape)
        assert model(random_array(1, *shape)).shape == (1, *shape)


def test_a_mirrored_convolution_is_the_adjoint_of_its_original():
    """With the same kernel <f(x), y> = <x, g(y)>, so the padding is aligned."""
    model = dk.Autoencoder(layers.Conv2D(3, 3, strides=2, padding="valid", use_bias=False)).build((8, 7, 2))
    forward, transposed = model.get_layer("encoder.conv2d"), model.get_layer("decoder.conv")
    transposed.kernel.assign(forward.kernel)
    x, code = random_array(1, 8, 7, 2), random_array(1, 3, 3, 3)
    decoded = keras.Model(model.get_layer("code").output, transposed.output)(code)
    np.testing.assert_allclose(np.sum(np.asarray(forward(x)) * code), np.sum(x * np.asarray(decoded)), rtol=1e-4)


def test_a_pooling_is_mirrored_by_repeating_its_values():
    model = dk.Autoencoder(layers.MaxPooling2D(2)).build((5, 4, 1))
    x = random_array(1, 5, 4, 1)
    y = np.asarray(model(x))[0, :, :, 0]
    expected = np.kron(x[0, :4, :, 0].reshape(2, 2, 2, 2).max((1, 3)), np.ones((2, 2)))
    np.testing.assert_allclose(y[:4], expected)
    np.testing.assert_array_equal(y[4], 0)  # the pooling ignores the fifth row


@pytest.mark.parametrize(
    ("encoder", "shape"),
    [
        ([dk.ConvStack(3, num_convs=1), dk.ConvStack(4, pool="avg"), dk.MLP([5])], (9, 7, 2)),
        ([dk.ConvStack(3, pool="l2"), layers.ZeroPadding1D(2), dk.ConvBlock(4, strides=3)], (11, 2)),
        ([dk.ConvBlock(3, order="norm-activation-conv"), layers.MaxPooling3D(2)], (4, 5, 6, 1)),
        ([layers.Reshape((4, 3)), dk.MLP([6], norm="layer", dropout=0.5)], (12,)),
    ],
)
def test_stages_are_mirrored_to_the_shape_of_the_input(encoder, shape, tmp_path):
    model = dk.Autoencoder(encoder).build(shape)
    assert model.output_shape == (None, *shape)
    assert model(random_array(2, *shape)).shape == (2, *shape)


def test_normalizations_and_regularizers_are_mirrored_and_dropout_is_not():
    regularizer = keras.regularizers.L2(0.1)
    net = dk.Autoencoder(mlp(6, 4, norm="batch", dropout=0.5, dense={"kernel_regularizer": regularizer}))
    model = net.build((9,))
    decoder = [layer for layer in model.layers if layer.name.startswith("decoder")]
    kinds = [type(layer).__name__ for layer in decoder]
    assert kinds == ["Dense", "BatchNormalization", "Activation", "Dense"]
    assert [layer.use_bias for layer in decoder if isinstance(layer, layers.Dense)] == [False, True]
    kernels = [layer.kernel for layer in model.layers if isinstance(layer, layers.Dense)]
    expected = 0.1 * sum(float(np.sum(np.square(kernel))) for kernel in kernels)
    assert len(kernels) == 4
    np.testing.assert_allclose(float(sum(model.losses)), expected, rtol=1e-5)


def test_a_custom_decoder_may_return_another_shape_of_the_same_size():
    model = dk.Autoencoder(mlp(4), decoder=[mlp(5), layers.Dense(12)], activation="sigmoid").build((2, 3, 2))
    assert model.output_shape == (None, 2, 3, 2)
    assert model.get_layer("decoder.mlp.dense").units == 5
    plain = dk.Autoencoder(mlp(4), decoder=layers.Dense(5, "relu")).build((5,))
    assert plain.output_shape == (None, 5)


def test_only_the_input_is_corrupted_and_in_training_only():
    net = dk.Autoencoder(layers.Flatten(), corruption=dk.MaskingNoise(0.5, seed=1))
    model, x = net.build((40, 3)), random_array(1, 40, 3) + 1
    np.testing.assert_array_equal(model(x), x)
    corrupted = np.asarray(model(x, training=True))
    assert set(np.unique(corrupted / x)) == {0.0, 1.0}


def test_the_loss_depends_on_the_activation():
    sigmoid, linear = dk.Autoencoder(mlp(2), activation="sigmoid"), dk.Autoencoder(mlp(2))
    assert isinstance(sigmoid.objective((None, 4), (None, 4)).loss, keras.losses.BinaryCrossentropy)
    assert isinstance(linear.objective((None, 4), (None, 4)).loss, keras.losses.MeanSquaredError)
    assert sigmoid.training_target == "inputs"


def test_fit_trains_an_autoencoder_without_labels():
    x = random_array(64, 6)
    run = dk.fit(dk.Autoencoder(mlp(3), activation="sigmoid"), (x, x), epochs=3, verbose=0)
    assert sorted(run.history) == ["loss", "mse"]
    assert run.history["loss"][-1] < run.history["loss"][0]


def test_layers_inside_a_sequential_have_its_name_as_prefix():
    model = dk.Sequential([dk.Autoencoder(mlp(3), tied_weights=True), dk.Autoencoder(mlp(3))]).build((4,))
    names = [layer.name for layer in model.layers]
    assert {"autoencoder1.code", "autoencoder2.encoder.mlp.dense", "autoencoder2.decoder.dense"} <= set(names)


def test_a_shared_tied_autoencoder_used_twice_has_one_set_of_weights():
    shared = dk.Shared(dk.Autoencoder(mlp(3), tied_weights=True))
    once, twice = dk.Sequential([shared]).build((4,)), dk.Sequential([shared, shared]).build((4,))
    assert once.count_params() == twice.count_params() == 4 * 3 + 3 + 4


def test_a_trained_encoder_with_a_custom_decoder():
    trained = mlp(3).build((5,))
    model = dk.Autoencoder(trained, decoder=layers.Dense(5)).build()
    np.testing.assert_array_equal(halves(model)[0](random_array(2, 5)), trained(random_array(2, 5)))


@pytest.mark.parametrize(
    ("shape", "kinds"),
    [
        ((6,), [layers.Dense(4, activation="sigmoid"), layers.Dense(3, use_bias=False)]),
        ((6, 5, 2), [layers.Conv2D(3, 3), layers.BatchNormalization(), layers.Flatten(), layers.Dense(4)]),
    ],
)
def test_a_tied_encoder_of_trained_layers_starts_with_their_weights(shape, kinds):
    """Hinton & Salakhutdinov 2006: a pretrained stack is unrolled into an autoencoder and trained further."""
    trained = keras.Sequential([keras.Input(shape), *kinds])
    trained.set_weights([random_array(*w.shape, seed=i) for i, w in enumerate(trained.get_weights())])
    kernel = trained.get_weights()[0]
    net = dk.Autoencoder(list(trained.layers), tied_weights=True)
    model = net.build(shape)
    x = random_array(7, *shape)
    np.testing.assert_allclose(halves(model)[0](x), trained(x), rtol=1e-5, atol=1e-6)
    model.compile("sgd", "mse")
    model.fit(x, x, verbose=0)
    assert np.any(np.asarray(halves(model)[0](x)) != np.asarray(trained(x)))
    np.testing.assert_array_equal(trained.get_weights()[0], kernel)  # the tied layers are copies


def trained_stack():
    return keras.Sequential([keras.Input((6,)), layers.Dense(4, name="one"), layers.Dense(3, name="two")])


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("make_encoder", [lambda stack: stack, lambda stack: list(stack.layers)])
def test_a_trained_stack_can_be_mirrored_several_times(make_encoder, tied):
    stack = trained_stack()
    dk.Sequential([make_encoder(stack), dk.Classifier(2)]).build((6,))
    net = dk.Autoencoder(make_encoder(stack), tied_weights=tied)
    x = random_array(5, 6)
    for model in (net.build((6,)), net.build((6,))):
        np.testing.assert_allclose(halves(model)[0](x), stack(x), rtol=1e-5)
        assert model.output_shape == (None, 6)
        if tied:
            one, two = (np.asarray(layer.kernel) for layer in stack.layers)
            np.testing.assert_allclose(model(x), np.asarray(stack(x)) @ two.T @ one.T, rtol=1e-4, atol=1e-6)


def test_a_tied_layer_keeps_trainable_and_dtype():
    frozen = layers.Dense(4, trainable=False, dtype="mixed_bfloat16", name="frozen")
    tied = dk.Autoencoder(frozen, tied_weights=True).build((6,)).get_layer("encoder.frozen")
    assert (tied.trainable, tied.dtype_policy.name) == (False, "mixed_bfloat16")


def test_trained_layers_that_are_shared_and_tied_keep_their_weights():
    layer = layers.Dense(3)
    layer.build((None, 4))
    shared = dk.Shared(dk.Autoencoder(layer, tied_weights=True))
    model = dk.Sequential([shared, shared]).build((4,))
    assert model.count_params() == 4 * 3 + 3 + 4
    np.testing.assert_array_equal(model.get_layer(layer.name).kernel, layer.kernel)


@keras.saving.register_keras_serializable(package="tests")
class Doubled(layers.Conv2D):
    def convolution_op(self, inputs, kernel):
        return super().convolution_op(inputs, 2 * kernel)


ERRORS = {
    "not a chain": (
        lambda: dk.Autoencoder(dk.Residual(dk.ConvBlock(3))).build((8, 8, 3)),
        "the encoder is not a chain of layers at 'encoder.residual.add', so it cannot be mirrored\n  at    encoder\n",
    ),
    "not invertible": (
        lambda: dk.Autoencoder(layers.GlobalAveragePooling2D()).build((8, 8, 3)),
        "'encoder.global_average_pooling2d', a GlobalAveragePooling2D, cannot be mirrored",
    ),
    "groups": (
        lambda: dk.Autoencoder(dk.ConvBlock(3, conv={"groups": 3})).build((8, 8, 3)),
        "'encoder.conv_block.conv' has groups=3, which cannot be mirrored",
    ),
    "causal": (
        lambda: dk.Autoencoder(dk.ConvBlock(3, conv={"padding": "causal"})).build((8, 3)),
        'has padding="causal", which cannot be mirrored',
    ),
    "unknown size": (
        lambda: dk.Autoencoder(dk.ConvBlock(3, strides=2)).build((None, 3)),
        "'encoder.conv_block.conv' has strides, and its input ?x3 has an unknown size, so it cannot be mirrored",
    ),
    "tied subclass of a convolution": (
        lambda: dk.Autoencoder(Doubled(3, 3), tied_weights=True).build((8, 8, 3)),
        "tied_weights=True ties dense layers and Keras's convolutions, but 'encoder.doubled' is a Doubled\n"
        "  at    encoder\n"
        "  in    dk.Autoencoder(tests.blocks.test_autoencoder.Doubled(",
    ),
    "tied and not invertible": (
        lambda: dk.Autoencoder(layers.SeparableConv2D(3, 3), tied_weights=True).build((8, 8, 3)),
        "'encoder.separable_conv2d', a SeparableConv2D, cannot be mirrored",
    ),
    "tied of unknown size": (
        lambda: dk.Autoencoder(dk.ConvBlock(3, strides=2), tied_weights=True).build((None, 3)),
        "'encoder.conv_block.conv' has strides, and its input ?x3 has an unknown size, so it cannot be mirrored",
    ),
    "nothing to tie": (
        lambda: dk.Autoencoder(layers.Flatten(), tied_weights=True).build((8, 8)),
        "tied_weights=True ties dense layers and convolutions, but the encoder has none",
    ),
    "tied with a decoder": (
        lambda: dk.Autoencoder(mlp(3), decoder=layers.Dense(4), tied_weights=True),
        "Autoencoder: tied_weights=True ties the mirrored encoder, received a decoder\n  hint: pass one of the two",
    ),
    "another shape": (
        lambda: dk.Autoencoder(mlp(3), decoder=layers.Dense(4)).build((5,)),
        'the decoder returns 4, but the input is 5\n  in    dk.Autoencoder(dk.MLP([3], activation="sigmoid"), '
        "decoder=layers.Dense(4))\n  hint: use layers.Dense(5) as its last element",
    ),
    "an activation after another": (
        lambda: dk.Autoencoder(mlp(9), decoder=dk.MLP([5, 12]), activation="sigmoid").build((12,)),
        "the decoder ends in relu (decoder.mlp.activation2), and activation='sigmoid' would follow it\n"
        "  at    decoder\n"
        '  in    dk.Autoencoder(dk.MLP([9], activation="sigmoid"), decoder=dk.MLP([5, 12]), activation="sigmoid")\n'
        "  hint: use activation=None in the decoder's last layer, or in the Autoencoder",
    ),
    "a sigmoid after another": (
        lambda: dk.Autoencoder(mlp(9), decoder=layers.Dense(12, "sigmoid"), activation="sigmoid").build((12,)),
        "the decoder ends in sigmoid (decoder.dense), and activation='sigmoid'",
    ),
    "a layer as activation": (
        lambda: dk.Autoencoder(mlp(3), activation=layers.PReLU()),
        "activation must be a name, a registered function or None",
    ),
    "empty": (lambda: dk.Autoencoder([]), "encoder is empty\n  hint: use dk.Autoencoder(dk.MLP([500]))"),
    "a number": (lambda: dk.Autoencoder(500), "must be a block, a Keras layer or a list of them, received int 500"),
}


@pytest.mark.parametrize("case", ERRORS)
def test_errors(case):
    make, text = ERRORS[case]
    with pytest.raises((ValueError, TypeError)) as caught:
        make()
    assert text in str(caught.value)


@pytest.mark.parametrize(
    ("x", "text"),
    [
        (
            np.full((40, 6), 200, "uint8") - np.eye(40, 6, dtype="uint8"),
            "from 199 to 200\n  hint: scale the inputs with x / 255, or set activation=None",
        ),
        (
            np.linspace(-1, 1, 240, dtype="float32").reshape(40, 6),
            "from -1 to 1\n  hint: scale the inputs to [0, 1], or",
        ),
    ],
)
def test_values_outside_the_range_of_a_sigmoid_are_refused(x, text):
    net = dk.Autoencoder(dk.MLP([3]), activation="sigmoid")
    for definition in (net, dk.Sequential([net])):
        with pytest.raises(ValueError, match="ends in a sigmoid, which reconstructs values from 0 to 1") as error:
            dk.fit(definition, (x,), batch_size=40, verbose=0)
        assert text in str(error.value)
    dk.fit(dk.Autoencoder(dk.MLP([3])), (x,), verbose=0)
