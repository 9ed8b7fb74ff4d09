"""The named graph."""

import keras
import numpy as np
import pytest
from keras import layers

import deepkit as dk

VQA = dk.Functional(
    inputs={"image": dk.Input((16, 16, 3)), "question": dk.Input((None,), dtype="int32")},
    nodes={
        "pooled": ("image", [dk.ConvStack(4), layers.GlobalAveragePooling2D()]),
        "encoded": ("question", [layers.Embedding(50, 6, mask_zero=True), layers.LSTM(5)]),
        "answer": (["pooled", "encoded"], [dk.Merge("multiply"), dk.MLP([7]), dk.Classifier(3)]),
    },
    outputs="answer",
)
HEADS = dk.Functional(
    inputs={"x": dk.Input((4,))},
    nodes={
        "features": ("x", dk.MLP([8])),
        "kind": ("features", dk.Classifier(3)),
        "size": ("features", dk.Regressor()),
    },
    outputs=["kind", "size"],
)
TOWER = dk.Shared(dk.MLP([5]), name="tower")
SIAMESE = dk.Functional(
    inputs={"left": dk.Input((4,)), "right": dk.Input((4,))},
    nodes={
        "a": ("left", TOWER),
        "b": ("right", TOWER),
        "same": (["a", "b"], [dk.Merge("multiply"), dk.Classifier(1)]),
    },
    outputs="same",
)


def random_array(*shape):
    return np.random.default_rng(0).normal(size=shape).astype("float32")


def test_several_inputs_are_a_mapping_and_layers_are_named_after_nodes():
    model = VQA.build()
    assert {name: x.shape for name, x in model.input.items()} == {"image": (None, 16, 16, 3), "question": (None, None)}
    names = [layer.name for layer in model.layers]
    assert {"image", "question", "pooled.conv_stack.conv_block1.conv", "encoded.lstm", "answer.merge.multiply"} <= set(
        names
    )
    x = {"image": random_array(2, 16, 16, 3), "question": np.array([[3, 4, 0], [5, 0, 0]])}
    assert model(x).shape == (2, 3)


def test_several_outputs_are_a_mapping():
    model = HEADS.build()
    assert {name: y.shape for name, y in model.output.items()} == {"kind": (None, 3), "size": (None, 1)}


def test_a_saved_and_loaded_graph_has_the_same_outputs(tmp_path):
    for net, x in ((HEADS, random_array(2, 4)), (SIAMESE, {"left": random_array(2, 4), "right": random_array(2, 4)})):
        model = net.build()
        model.save(tmp_path / "model.keras")
        loaded = keras.models.load_model(tmp_path / "model.keras")
        keras.tree.map_structure(np.testing.assert_array_equal, loaded(x), model(x))


def test_a_shared_tower_has_one_set_of_weights_under_its_name():
    model = SIAMESE.build()
    assert [w.path for w in model.weights] == [
        "tower.mlp.dense/kernel", "tower.mlp.dense/bias", "same.classifier.dense/kernel", "same.classifier.dense/bias",
    ]  # fmt: skip


def test_the_repr_makes_an_equal_graph_with_the_same_hash():
    namespace = {"dk": dk, "layers": layers, "keras": keras}
    for net in (VQA, HEADS, SIAMESE):
        assert eval(repr(net), namespace) == net
        assert hash(eval(repr(net), namespace)) == hash(net)
    assert VQA != HEADS


def test_a_graph_may_be_an_element_of_a_sequential():
    body = dk.Functional(
        inputs={"x": dk.Input((None, None, 4))},
        nodes={"a": ("x", dk.ConvBlock(4)), "sum": (["x", "a"], dk.Merge("add"))},
        outputs="sum",
    )
    model = dk.Sequential([dk.ConvBlock(4), body, dk.Classifier(2)]).build((8, 8, 3))
    assert "functional.a.conv" in [layer.name for layer in model.layers]


def test_called_on_symbolic_tensors_in_order_or_by_name():
    left, right = keras.Input((4,)), keras.Input((4,))
    net = dk.Functional(
        inputs={"a": dk.Input((4,)), "b": dk.Input((4,))},
        nodes={"difference": (["a", "b"], dk.Merge("subtract"))},
        outputs="difference",
    )
    x, y = random_array(2, 4), random_array(2, 4)[::-1]
    for call in ([left, right], {"b": right, "a": left}):
        np.testing.assert_array_equal(keras.Model([left, right], net(call))([x, y]), x - y)


def test_fit_takes_loss_and_metrics_from_each_head():
    data = (random_array(32, 4), {"kind": np.arange(32) % 3, "size": random_array(32, 1)})
    run = dk.fit(HEADS, data, epochs=1, verbose=0)
    assert set(run.history) == {"loss", "kind_loss", "size_loss", "kind_accuracy", "size_mae"}


def test_fit_with_several_inputs(tmp_path):
    data = ({"left": random_array(32, 4), "right": random_array(32, 4)}, np.arange(32) % 2)
    run = dk.fit(SIAMESE, data, epochs=2, run_dir=tmp_path / "run", verbose=0)
    assert set(run.history) == {"loss", "accuracy"}
    assert run.resume == "exact"


def test_fit_names_the_inputs_that_are_missing():
    data = ({"left": random_array(32, 4), "rihgt": random_array(32, 4)}, np.arange(32) % 2)
    with pytest.raises(ValueError, match=r"the definition's inputs are left, right, the data has left, rihgt"):
        dk.fit(SIAMESE, data, epochs=1, verbose=0)


@pytest.mark.parametrize(
    ("net", "labels", "text"),
    [
        (HEADS, {"kind": 0, "sise": 0}, "the definition's outputs are kind, size, the labels have kind, sise"),
        (HEADS, None, "the definition's outputs are kind, size, the labels have no names"),
        (
            dk.Functional(inputs=HEADS.inputs, nodes={"y": ("x", dk.Classifier(3))}, outputs="y"),
            {"y": 0},
            "the definition's outputs are one without a name, the labels have y",
        ),
    ],
)
def test_fit_names_the_labels_that_are_wrong(net, labels, text):
    classes = np.arange(32) % 3
    targets = classes if labels is None else dict.fromkeys(labels, classes)
    with pytest.raises(ValueError, match=text):
        dk.fit(net, (random_array(32, 4), targets), epochs=1, verbose=0)


def graph(**changes):
    arguments = {"inputs": {"x": dk.Input((4,))}, "nodes": {"y": ("x", dk.MLP([2]))}, "outputs": "y"}
    return dk.Functional(**(arguments | changes))


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: graph(inputs={}), "Functional: inputs must be a mapping of names to dk.Input, received {}"),
        (
            lambda: graph(inputs={"x": (4,)}),
            "Functional: inputs['x'] must be a dk.Input, received (4,)\n  hint: use {\"x\": dk.Input((28, 28, 1))}",
        ),
        (
            lambda: graph(inputs={"x": dk.Input((4,), name="z")}),
            "Functional: inputs['x'] has a second name, 'z'",
        ),
        (lambda: graph(nodes=[]), "Functional: nodes must be a mapping of names to (source, body), received []"),
        (
            lambda: graph(nodes={"y": dk.MLP([2])}),
            "Functional: nodes['y'] must be (source, body), received dk.MLP([2])",
        ),
        (
            lambda: graph(nodes={"y": (dk.MLP([2]), "x")}),
            "Functional: nodes['y'] must be (source, body), received the body first",
        ),
        (
            lambda: graph(nodes={"y": ("z", dk.MLP([2])), "z": ("x", [])}),
            "Functional: nodes: the source 'z' of node 'y' comes later\n  hint: write 'z' before 'y'",
        ),
        (
            lambda: graph(inputs={"image": dk.Input((4,))}, nodes={"y": ("imgae", [])}),
            "Functional: nodes: the source 'imgae' of node 'y' does not exist; did you mean 'image'?",
        ),
        (lambda: graph(nodes={"x": ("x", [])}), "Functional: 'x' is the name of an input and a node"),
        (lambda: graph(nodes={"y": ([], [])}), "Functional: nodes['y'] has no source"),
        (lambda: graph(outputs="x"), "Functional: outputs contains 'x', which is not a node; the nodes are y"),
        (lambda: graph(outputs=[]), "Functional: outputs must be node names, each once, received []"),
        (lambda: graph(outputs=["y", "y"]), "Functional: outputs must be node names, each once, received ['y', 'y']"),
        (
            lambda: graph(nodes={"y": ("x", []), "idle": ("x", [])}),
            "Functional: 'idle' is unused: it is neither an output nor the source of a node\n"
            "  hint: use it in a node, or leave it out",
        ),
        (lambda: graph(nodes={"y": ("x", 3)}), "Functional: nodes['y'][0] must be a block, a Keras layer or a list"),
        (
            lambda: graph().build((5,)),
            "build received input_shape=(5,), but the definition fixes (4,)",
        ),
        (
            lambda: SIAMESE.build({"left": (5,), "right": (4,)}),
            "build received input_shape={'left': (5,), 'right': (4,)}, but the definition fixes "
            "{'left': (4,), 'right': (4,)}",
        ),
        (
            lambda: dk.Sequential([dk.MLP([4]), SIAMESE]).build((4,)),
            "expected the inputs left, right, received 1 without names\n  at    functional\n",
        ),
        (
            lambda: graph(nodes={"y": ("x", [dk.MLP([2]), dk.ConvBlock(2)])}).build(),
            "Conv needs a sequence (steps, channels), an image (rows, columns, channels) or a volume, received (2,)\n"
            "  at    y.conv_block\n",
        ),
    ],
)
def test_errors(make, text):
    with pytest.raises((ValueError, TypeError)) as caught:
        make()
    assert text in str(caught.value)
