"""Diagrams: their text, and that every box and every line of the model is drawn without overlaps."""

import io
import re
import xml.etree.ElementTree as ElementTree
from itertools import pairwise

import keras
import matplotlib
import pytest
from keras import layers
from matplotlib.image import imread

import deepkit as dk
from deepkit.visualize import figures
from deepkit.visualize.diagrams import layer_labels
from deepkit.visualize.diagrams.call_graph import trace_calls
from deepkit.visualize.diagrams.diagram import draw_page, lay_out_page
from deepkit.visualize.diagrams.elements import nesting_depth
from deepkit.visualize.diagrams.nesting import NestedGraph
from deepkit.visualize.diagrams.row_order import Edge, Node
from deepkit.visualize.diagrams.row_placement import PlacedRows, spread


def residual(filters):
    return dk.Residual([dk.ConvBlock(filters), dk.ConvBlock(filters, activation=None)])


def resnet():
    stages = [dk.Sequential([residual(4 * 2**i)] * 4, name=f"stage{i + 1}") for i in range(2)]
    return dk.Sequential([dk.ConvBlock(4), *stages, dk.Classifier(10, pool="avg")], name="resnet").build((8, 8, 3))


def inception():
    image = keras.Input((8, 8, 3), name="image")
    x = image
    for module in ("inception1", "inception2"):
        prefix = f"{module}.parallel"
        ones = layers.Conv2D(4, 1, name=f"{prefix}.1x1.conv")(x)
        threes = layers.Conv2D(2, 1, name=f"{prefix}.3x3.conv_block1.conv")(x)
        threes = layers.Conv2D(4, 3, padding="same", name=f"{prefix}.3x3.conv_block2.conv")(threes)
        pooled = layers.MaxPooling2D(3, 1, padding="same", name=f"{prefix}.pool")(x)
        x = layers.Concatenate(name=f"{prefix}.concat")([ones, threes, pooled])
    side = layers.Dense(3, name="side")(layers.Flatten(name="flat")(x))
    return keras.Model(image, [layers.GlobalMaxPooling2D(name="top")(x), side], name="inception")


def siamese():
    tower = keras.Sequential([keras.Input((6,)), layers.Dense(5, name="in"), layers.Dense(4, name="out")], name="tower")
    left, right = keras.Input((6,), name="left"), keras.Input((6,), name="right")
    apart = layers.Subtract(name="difference")([tower(left), tower(right)])
    return keras.Model([left, right], layers.Dense(1, name="same")(apart), name="siamese")


def unet():
    image = keras.Input((8, 8, 1), name="image")
    x, skips = image, []
    for i in range(2):
        skips.append(layers.Conv2D(2, 3, padding="same", name=f"down{i}.conv")(x))
        x = layers.MaxPooling2D(name=f"down{i}.pool")(skips[-1])
    for i in (1, 0):
        x = layers.UpSampling2D(name=f"up{i}.larger")(x)
        x = layers.Concatenate(name=f"up{i}.concat")([skips[i], x])
    return keras.Model(image, x, name="unet")


def question():
    tokens, image = keras.Input((7,), name="words"), keras.Input((9,), name="image")
    embedded = layers.Embedding(50, 3, mask_zero=True, name="asked.embedding")(tokens)
    encoded = layers.LSTM(4, name="asked.lstm")(embedded)
    features = layers.Dense(4, activation="relu", name="seen")(image)
    merged = layers.Multiply(name="fuse")([encoded, features]) + 1.0
    return keras.Model({"words": tokens, "image": image}, merged, name="vqa")


def many_inputs():
    left = [keras.Input((4,), name=f"left{i}") for i in range(5)]
    wide = [layers.Dense(4, name=f"a_long_name_makes_a_wide_box_{i}")(x) for i, x in enumerate(left)]
    return keras.Model(left, layers.Add(name="add")([left[0], *wide]), name="many")


def by_underscores():
    x = image = keras.Input((8, 8, 3), name="image")
    for block in ("conv1_block1", "conv1_block2"):
        y = layers.Conv2D(3, 3, padding="same", use_bias=False, name=f"{block}_1_conv")(x)
        y = layers.BatchNormalization(name=f"{block}_1_bn")(y)
        x = layers.Add(name=f"{block}_add")([x, y])
    return keras.Model(image, layers.Flatten()(x), name="applied")


def mlp():
    return dk.Sequential([dk.MLP([8, 8]), dk.Classifier(3)], name="mlp").build((4,))


def plain():
    return keras.Sequential(
        [keras.Input((4,)), *(layers.Dense(4, name=f"dense{i}") for i in range(1, 13))], name="deep"
    )


NETS = {
    make.__name__: make
    for make in (resnet, inception, siamese, unet, question, many_inputs, by_underscores, mlp, plain)
}


@pytest.fixture(scope="module", params=NETS)
def net(request):
    return NETS[request.param]()


def texts(model, **options):
    """Return every text of a model's diagram, read back from its SVG file."""
    svg = figures.figure_bytes(dk.visualize.diagram(model, **options), "svg")
    root = ElementTree.fromstring(svg)
    return ["".join(item.itertext()) for item in root.iter("{http://www.w3.org/2000/svg}text")]


def tree(element):
    """Return the name of a box, or of its layers, and a tuple of a block's name and its children."""
    name = element.name or " ".join(row.name for row in element.rows)
    return (name, *(tree(child) for child in element.children)) if element.children else name


def root(model):
    return NestedGraph(model.name, lay_out_page(model).graph.calls).root


# --- text ---


def test_a_box_shows_name_layers_shape_and_number_of_weights():
    net = dk.Sequential(
        [dk.ConvStack(6, num_convs=1, kernel_size=5, norm=None), dk.MLP([120]), dk.Classifier(10)], name="n"
    )
    shown = texts(net.build((28, 28, 1)))
    stack = ["conv_stack", "14×14×6   156"]
    boxes = ["conv_block", "Conv2D 5×5, 6", "ReLU", "28×28×6", "156", "pool", "MaxPool2D 2×2", "14×14×6"]
    dense = ["mlp", "Flatten", "Dense 120", "ReLU", "120", "141,240", "classifier", "Dense 10", "10", "1,210"]
    assert sorted(shown) == sorted(["n", "142,606 parameters", "input", "28×28×1", *stack, *boxes, *dense])


def test_equal_blocks_are_drawn_once_with_the_sum_of_their_weights():
    shown = texts(resnet())
    first = 2 * (9 * 4 * 4 + 16)
    assert "residual1–4  × 4" in shown
    assert f"8×8×4   4 × {first} = {4 * first:,}" in shown
    each = 2 * (9 * 8 * 8 + 32)
    assert "residual2–4  × 3" in shown
    assert f"8×8×8   3 × {each:,} = {3 * each:,}" in shown
    assert shown.count("shortcut") == 1  # of stage2.residual1


def test_equal_layers_are_drawn_once():
    shown = texts(plain())
    assert {"dense1–12", "× 12", "Dense 4", "12 × 20 = 240"} <= set(shown)
    assert len(lay_out_page(plain()).area.placed_elements()) == 2


def test_frozen_weights_are_counted_separately():
    model = dk.ConvBlock(4).build((8, 8, 1))
    assert "52 parameters, 8 of them not trainable" in texts(model)
    assert "139 parameters" in texts(mlp())


def test_weights_used_twice_are_marked_as_shared():
    shown = texts(siamese())
    assert shown.count("tower") == 2
    assert shown.count("59") == 1
    assert shown.count("59 shared") == 1


def test_a_shared_block_is_a_box_for_each_use():
    cell = dk.Shared(dk.MLP([4]), name="cell")
    shown = texts(dk.Sequential([cell, cell, dk.Classifier(2)]).build((4,)))
    assert [text for text in shown if text.startswith("20")] == ["20", "20 shared"]


def test_several_outputs_are_marked():
    shown = texts(inception())
    assert sorted(text for text in shown if "output" in text) == ["19 → output", "3 → output"]
    assert not any("output" in text for text in texts(mlp()))


def test_masks_that_keras_passes_automatically_have_no_box():
    assert not any("NotEqual" in text for text in texts(question()))
    assert {"Embedding 50 to 3", "LSTM 4", "Dense 4, ReLU"} <= set(texts(question()))


@pytest.mark.parametrize(
    ("layer", "expected"),
    [
        (layers.Conv2D(64, 3, strides=2, activation="relu"), ("Conv2D 3×3, 64, stride 2, valid, ReLU", "convolution")),
        (layers.Conv1D(8, 5, dilation_rate=4, groups=2), ("Conv1D 5, 8, dilated 4, groups 2, valid", "convolution")),
        (layers.Conv2D(8, (1, 7), strides=(2, 1)), ("Conv2D 1×7, 8, stride 2×1, valid", "convolution")),
        (layers.Conv2D(8, 3, padding="same"), ("Conv2D 3×3, 8", "convolution")),
        (layers.Conv2D(8, 1), ("Conv2D 1×1, 8", "convolution")),
        (layers.Conv2DTranspose(8, 2, strides=2), ("Conv2DTranspose 2×2, 8, stride 2", "convolution")),
        (layers.MaxPooling2D(3, 1, padding="same"), ("MaxPool2D 3×3, stride 1, same", "pooling")),
        (layers.MaxPooling2D(2), ("MaxPool2D 2×2", "pooling")),
        (layers.AveragePooling2D(3, 1), ("AvgPool2D 3×3, stride 1", "pooling")),
        (layers.GlobalAveragePooling1D(), ("GlobalAvgPool1D", "pooling")),
        (layers.BatchNormalization(), ("BatchNorm", "normalization")),
        (layers.Activation("relu6"), ("ReLU6", "activation")),
        (layers.ReLU(6.0), ("ReLU6", "activation")),
        (layers.Activation("gelu"), ("GELU", "activation")),
        (layers.Bidirectional(layers.GRU(7)), ("Bidirectional GRU 7", "other")),
        (layers.Dropout(0.25), ("Dropout 0.25", "other")),
        (layers.MultiHeadAttention(8, 64), ("MultiHeadAttention 8 heads", "other")),
        (layers.UpSampling2D(2), ("UpSampling2D 2×2", "other")),
        (layers.Concatenate(), ("Concatenate", "merge")),
        (layers.Dense(3, activation="softmax"), ("Dense 3, softmax", "dense")),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_label_has_the_settings_that_a_paper_shows(layer, expected):
    assert (layer_labels.label(layer), layer_labels.category(layer)) == expected


def test_an_unknown_size_is_a_question_mark():
    assert "?×?×4" in texts(dk.ConvBlock(4).build((None, None, 1)))


# --- nesting ---


def test_names_with_dots_are_blocks():
    body = ("conv_block1", "conv_block2", "add activation")
    first = ("residual1", "shortcut", *body)
    stages = ("stage1", ("residual1–4", *body)), ("stage2", first, ("residual2–4", *body))
    assert tree(root(resnet())) == ("resnet", "input", "conv_block", *stages, "classifier")


def test_names_with_underscores_are_blocks_if_no_name_has_a_dot():
    blocks = ("conv1", ("block1–2", "1", "add"))
    [name, image, *rest] = tree(root(by_underscores()))
    assert (name, image, rest[0]) == ("applied", "image", blocks)
    assert len(rest) == 2  # and a layer whose name Keras generated


def test_underscores_that_do_not_separate_blocks_are_kept():
    x = start = keras.Input((4,), name="start_here")
    for units, name in ((5, "top_conv"), (6, "my_middle"), (7, "top_dense"), (8, "my_end")):
        x = layers.Dense(units, name=name)(x)
    model = keras.Model(start, x, name="m")
    assert tree(root(model)) == ("m", "start_here", "top_conv", "my_middle", "top_dense", "my_end")


def test_names_that_keras_generated_are_not_blocks():
    model = keras.Sequential([keras.Input((8, 8, 1)), layers.Conv2D(2, 3), layers.Conv2D(3, 3), layers.Flatten()])
    assert nesting_depth(root(model)) == 0
    assert len(root(model).children) == 4


def test_blocks_that_would_form_a_cycle_are_split():
    x = start = keras.Input((4,), name="start")
    for units, name in ((5, "a.first"), (6, "a.second"), (7, "b.only"), (8, "a.third")):
        x = layers.Dense(units, name=name)(x)
    model = keras.Model(start, x, name="cycle")
    assert tree(root(model)) == ("cycle", "start", "a.first", "a.second", "b", "a.third")


def test_a_layer_with_the_name_of_a_block_is_in_that_block():
    start = keras.Input((4,), name="start")
    x = layers.LayerNormalization(name="dense.norm")(layers.Dense(4, name="dense")(start))
    assert tree(root(keras.Model(start, x, name="m"))) == ("m", "start", "dense")


def test_depth_closes_blocks_and_counts_their_layers():
    model = resnet()
    closed = lay_out_page(model, depth=0)
    assert {placed.level for placed in closed.area.placed_elements()} == {0}
    shown = texts(model, depth=0)
    assert {"stage2", "30 layers", "9 Conv2D", "9 BatchNorm", "8 ReLU"} <= set(shown)
    assert {"residual2–4", "× 3", "7 layers", "2 Conv2D", "3 × 1,216 = 3,648"} <= set(texts(model, depth=1))
    assert lay_out_page(model, depth=9).area.placed_elements() == lay_out_page(model, depth=2).area.placed_elements()


def test_a_short_branch_that_is_closed_lists_its_layers():
    shown = texts(inception(), depth=1)
    assert shown.count("Conv2D 1×1, 2") == shown.count("Conv2D 3×3, 4") == 2
    assert "conv_block1" not in shown


def closed_block(*bodies, skip=False):
    """Return the labels in a closed block: a merge of its input with another tensor, then convolutions."""
    x = other = layers.Dense(4, name="other")(start := keras.Input((8, 8, 4), name="start"))
    x = layers.Concatenate(name="up.fuse.concat")([start, x])
    for i, filters in enumerate(bodies):
        x = layers.Conv2D(filters, 3, padding="same", name=f"up.conv_block{i}.conv")(x)
        x = layers.Activation("relu", name=f"up.conv_block{i}.activation")(x)
    if skip:
        x = layers.Concatenate(name="up.again")([x, other])
    model = keras.Model(start, layers.Flatten(name="flat")(x), name="m")
    elements = [placed.element for placed in lay_out_page(model, depth=0).area.placed_elements()]
    [block] = [element for element in elements if element.name == "up"]
    return [row.label for row in block.rows]


def test_a_closed_chain_lists_its_layers_even_after_a_merge():
    assert closed_block(3, 2) == ["Concatenate", "Conv2D 3×3, 3", "ReLU", "Conv2D 3×3, 2", "ReLU"]
    assert closed_block(8, 8) == ["Concatenate", *["Conv2D 3×3, 8", "ReLU"] * 2]  # equal blocks, drawn once if open
    assert closed_block(2, 3, 4, 5)[0] == "9 layers"


def test_a_closed_block_with_a_skip_connection_counts_its_layers():
    assert closed_block(3, 2, skip=True)[0] == "6 layers"


def test_inputs_with_another_dtype_than_float32_show_it():
    tokens = keras.Input((7,), name="tokens", dtype="int32")
    assert "Input int32" in texts(keras.Model(tokens, tokens + 1))
    model = keras.Sequential([keras.Input((7,), dtype="int32"), layers.Embedding(9, 2)])
    assert {"input", "int32"} <= set(texts(model))


# --- layout ---


def boxes(page):
    return [placed for placed in page.area.placed_elements() if not placed.element.children]


def test_boxes_lie_in_their_block_without_overlaps(net):
    for depth in (None, 0, 1, 9):
        page = lay_out_page(net, depth=depth)
        placed = page.area.placed_elements()
        assert all(p.x >= 0 and p.y >= 0 and p.x + p.width <= page.area.width + 1e-6 for p in placed)
        assert all(p.y + p.height <= page.area.height + 1e-6 for p in placed)
        for i, one in enumerate(placed):
            for other in placed[:i]:
                inside = set(one.element.calls) < set(other.element.calls) and one.level > other.level
                assert within(one, other) if inside else apart(one, other), (one.element.name, other.element.name)


def within(inner, outer):
    across = outer.x < inner.x and inner.x + inner.width < outer.x + outer.width
    return across and outer.y < inner.y and inner.y + inner.height < outer.y + outer.height


def apart(one, other):
    beside = one.x + one.width < other.x or other.x + other.width < one.x
    return beside or one.y + one.height < other.y or other.y + other.height < one.y


def test_every_link_between_boxes_is_a_line(net):
    for depth in (None, 0, 9):
        page = lay_out_page(net, depth=depth)
        box_of = {call: placed for placed in boxes(page) for call in placed.element.calls}
        copies = [set(p.element.calls) for p in page.area.placed_elements() if p.element.num_copies > 1]
        for target, call in enumerate(page.graph.calls):
            for source in call.sources:
                a, b = page.graph.drawn_call(source), page.graph.drawn_call(target)
                if box_of[a] != box_of[b]:
                    assert joined(page, a, box_of[a], box_of[b]) or any({a, b} <= calls for calls in copies)


def joined(page, net, source, target):
    """Return whether lines of one net lead from the lower side of one box to the upper side of another."""
    lines = [
        [(round(x, 3), round(y, 3)) for x, y in line.points] for line in page.area.placed_lines() if line.net == net
    ]
    reached, before = {points[0] for points in lines if on(points[0], source, source.y + source.height)}, None
    while before != reached:
        before = set(reached)
        reached |= {points[-1] for points in lines if points[0] in reached}
    return any(on(point, target, target.y) for point in reached)


def on(point, placed, y):
    return placed.x <= point[0] <= placed.x + placed.width and abs(point[1] - y) < 0.01


def test_lines_do_not_cross_boxes(net):
    page = lay_out_page(net)
    for line in page.area.placed_lines():
        for (ax, ay), (bx, by) in pairwise(line.points):
            for box in boxes(page):
                beside = max(ax, bx) < box.x + 0.5 or min(ax, bx) > box.x + box.width - 0.5
                assert beside or max(ay, by) < box.y + 0.5 or min(ay, by) > box.y + box.height - 0.5


def test_a_shortcut_goes_around_the_body_to_the_addition():
    page = lay_out_page(residual(3).build((4, 4, 3)))
    body = [placed for placed in boxes(page) if placed.element.name.startswith("conv_block")]
    lines = [line for line in page.area.placed_lines() if not line.has_arrow]
    [shortcut] = [line for line in lines if line.points[-1][0] - line.points[0][0] > 20]
    assert len(body) == 2
    assert all(shortcut.points[-1][0] > placed.x + placed.width for placed in body)


def test_a_long_model_is_wrapped_into_columns():
    model = keras.Sequential([keras.Input((4,)), *(layers.Dense(3 + i, name=f"dense{i}") for i in range(40))])
    page = lay_out_page(model)
    starts = [box.x for before, box in pairwise(boxes(page)) if box.y < before.y]
    assert len(starts) >= 1
    assert len(boxes(page)) == 41
    assert starts == sorted(starts)
    assert 1 / 3 <= page.width / page.height <= 3


def test_spread_finds_the_closest_coordinates():
    assert spread([0.0, 0.0, 10.0], [1.0, 1.0, 1.0], [4.0, 4.0]) == [-2.0, 2.0, 10.0]
    assert spread([0.0, 0.0], [3.0, 1.0], [4.0]) == [-1.0, 3.0]


def test_an_order_without_crossings_is_found():
    nodes = {key: Node(10.0) for key in "abcd"}
    rows = PlacedRows(nodes, [Edge("a", "d", 0), Edge("b", "c", 1)], gap=5.0)
    assert rows.rows in ([["a", "b"], ["d", "c"]], [["b", "a"], ["c", "d"]])
    assert rows.left["a"] == rows.left["d"]


# --- files ---


def test_a_diagram_is_saved_as_svg_png_and_pdf(tmp_path):
    figure = dk.visualize.diagram(mlp(), tmp_path / "deep" / "mlp.svg")
    vector = (tmp_path / "deep" / "mlp.svg").read_text(encoding="utf-8")
    assert vector.startswith("<?xml")
    assert re.search(r"font-family: 'DejaVu Sans',[^;]* sans-serif[;\"]", vector)  # a viewer may lack the font
    path = dk.visualize.save(figure, tmp_path / "mlp.PNG")
    height, width, _ = imread(io.BytesIO(path.read_bytes()), format="png").shape
    page = lay_out_page(mlp())
    assert (width, height) == pytest.approx((2.5 * page.width, 2.5 * page.height), abs=1)
    assert dk.visualize.save(figure, tmp_path / "mlp.pdf").read_bytes().startswith(b"%PDF")


def test_the_number_of_pixels_is_limited():
    page = lay_out_page(mlp())
    page.width = 36_000.0
    assert draw_page(page).dpi == 40.0


def test_the_same_model_gives_the_same_file(tmp_path):
    model, before = residual(3).build((4, 4, 3)), dict(matplotlib.rcParams)
    for form in ("svg", "png", "pdf"):
        one, two = tmp_path / f"one.{form}", tmp_path / f"two.{form}"
        dk.visualize.diagram(model, one)
        dk.visualize.diagram(model, two)
        assert one.read_bytes() == two.read_bytes()
    assert dict(matplotlib.rcParams) == before


def test_an_unknown_suffix_raises_before_anything_is_written(tmp_path):
    path = tmp_path / "new" / "model.jpg"
    expected = (
        f"expected a path that ends in .pdf, .png or .svg, received '{path}'\n  hint: use '{path.with_suffix('.svg')}'"
    )
    with pytest.raises(ValueError, match=f"^{re.escape(expected)}$"):
        dk.visualize.diagram(mlp(), path)
    assert not path.parent.exists()


def test_the_old_file_is_kept_if_the_new_one_cannot_be_written(tmp_path, monkeypatch):
    path = tmp_path / "model.svg"
    path.write_text("old")

    def full(*_):
        raise OSError("no space left")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(OSError, match="no space left"):
        dk.visualize.diagram(mlp(), path)
    assert [p.name for p in tmp_path.iterdir()] == ["model.svg"]
    assert path.read_text() == "old"


# --- invalid arguments ---


class Subclassed(keras.Model):
    def call(self, x):
        return x


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        (
            Subclassed(name="mine"),
            "diagram: expected a Functional or Sequential model, received Subclassed 'mine', which does not "
            "have a graph\n  hint: use the models in it, or keras.Model(x, model.call(x)) with x = keras.Input(shape)",
        ),
        (
            keras.Sequential([layers.Dense(2)], name="new"),
            "diagram: expected a built model, received Sequential 'new' without an input shape"
            "\n  hint: add a keras.Input as its first layer, or call model.build((None, 28, 28, 1))",
        ),
        (
            dk.MLP([3]),
            "diagram: expected a keras.Model, received MLP\n  hint: use definition.build(input_shape)",
        ),
        ("model.keras", "diagram: expected a keras.Model, received str\n  hint: use keras.Model(inputs, outputs)"),
    ],
    ids=["subclassed", "unbuilt", "definition", "text"],
)
def test_a_model_without_a_graph_raises(model, expected):
    with pytest.raises(ValueError, match=f"^{re.escape(expected)}$"):
        dk.visualize.diagram(model)


def test_a_subclassed_model_inside_another_is_one_box():
    start = keras.Input((3,), name="start")
    shown = texts(keras.Model(start, Subclassed(name="$mine$")(start), name="outer"))
    assert {"$mine$", "Subclassed"} <= set(shown)


@pytest.mark.parametrize("depth", [-1, 1.5])
def test_a_depth_that_is_not_a_positive_integer_or_0_raises(depth):
    expected = (
        f"diagram: depth must be an integer of at least 0, received {depth}"
        "\n  hint: use depth=0 for the outermost blocks, or leave it out"
    )
    with pytest.raises(ValueError, match=f"^{re.escape(expected)}$"):
        dk.visualize.diagram(mlp(), depth=depth)


def test_a_gan_is_drawn_from_noise_to_logits(tmp_path):
    model = dk.GAN([dk.MLP([8]), dk.Regressor(2)], dk.MLP([8]), latent_dim=3).build((2,))
    paths = [".".join(name for name, _ in call.path) for call in trace_calls(model)]
    assert paths[0] == "noise"
    assert paths.index("generator.regressor.dense") < paths.index("discriminator.mlp.dense")
    dk.visualize.diagram(model, tmp_path / "gan.svg")
    assert "discriminator" in (tmp_path / "gan.svg").read_text()
    assert f"{model.count_params():,} parameters" in (tmp_path / "gan.svg").read_text()
    keras.saving.save_model(model, tmp_path / "model.keras")  # the calls of the diagram are not part of the model
    assert keras.saving.load_model(tmp_path / "model.keras").count_params() == model.count_params()


@pytest.mark.parametrize("attention", [None, "dot"])
def test_an_encoder_decoder_model_is_drawn_from_ids_to_logits(attention):
    definition = dk.Seq2Seq(
        dk.Text(8), encoder=dk.Recurrent("gru", 4), decoder=dk.Recurrent("gru", 4), attention=attention, embedding_dim=3
    )
    model = definition.build()
    networks = [call.path[0][0] for call in trace_calls(model)]
    assert networks[-1] == "classifier"
    assert {"source", "target", "encoder", "decoder"} <= set(networks)
