"""Diagrams: what they say, and that what is drawn is the model: every box, every line, none over another."""

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
from deepkit.visualize.diagrams import labels as _labels
from deepkit.visualize.diagrams.boxes import levels
from deepkit.visualize.diagrams.diagram import draw, layout
from deepkit.visualize.diagrams.layered import Rows, spread
from deepkit.visualize.diagrams.nesting import Nest
from deepkit.visualize.diagrams.row_order import Edge, Node


def residual(filters):
    return dk.Residual([dk.ConvBlock(filters), dk.ConvBlock(filters, activation=None)])


def resnet():
    stages = [dk.Sequential([residual(4 * 2**i)] * 4, name=f"stage{i + 1}") for i in range(2)]
    return dk.Sequential([dk.ConvBlock(4), *stages, dk.Classifier(10, pool="avg")], name="resnet").build((8, 8, 3))


def inception():
    image = keras.Input((8, 8, 3), name="image")
    x = image
    for module in ("inception1", "inception2"):
        place = f"{module}.parallel"
        ones = layers.Conv2D(4, 1, name=f"{place}.1x1.conv")(x)
        threes = layers.Conv2D(2, 1, name=f"{place}.3x3.conv_block1.conv")(x)
        threes = layers.Conv2D(4, 3, padding="same", name=f"{place}.3x3.conv_block2.conv")(threes)
        pooled = layers.MaxPooling2D(3, 1, padding="same", name=f"{place}.pool")(x)
        x = layers.Concatenate(name=f"{place}.concat")([ones, threes, pooled])
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
    words, image = keras.Input((7,), name="words"), keras.Input((9,), name="image")
    asked = layers.LSTM(4, name="asked.lstm")(layers.Embedding(50, 3, mask_zero=True, name="asked.embedding")(words))
    seen = layers.Dense(4, activation="relu", name="seen")(image)
    return keras.Model({"words": words, "image": image}, layers.Multiply(name="fuse")([asked, seen]) + 1.0, name="vqa")


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
    out = figures._bytes(dk.visualize.diagram(model, **options), "svg")
    root = ElementTree.fromstring(out)
    return ["".join(item.itertext()) for item in root.iter("{http://www.w3.org/2000/svg}text")]


def tree(part):
    """Return a part as its name, or the names of its layers, and what lies in it."""
    name = part.name or " ".join(row.name for row in part.rows)
    return (name, *(tree(inner) for inner in part.parts)) if part.parts else name


def nest(model):
    return Nest(model.name, layout(model).nest.uses)


# --- what it says ---


def test_a_box_says_name_layers_shape_and_weights():
    net = dk.Sequential(
        [dk.ConvStack(6, num_convs=1, kernel_size=5, norm=None), dk.MLP([120]), dk.Classifier(10)], name="n"
    )
    said = texts(net.build((28, 28, 1)))
    stack = ["conv_stack", "14×14×6   156"]
    boxes = ["conv_block", "Conv2D 5×5, 6", "ReLU", "28×28×6", "156", "pool", "MaxPool2D 2×2", "14×14×6"]
    dense = ["mlp", "Flatten", "Dense 120", "ReLU", "120", "141,240", "classifier", "Dense 10", "10", "1,210"]
    assert sorted(said) == sorted(["n", "142,606 parameters", "input", "28×28×1", *stack, *boxes, *dense])


def test_equal_blocks_are_drawn_once_with_the_sum_of_their_weights():
    said = texts(resnet())
    first = 2 * (9 * 4 * 4 + 16)
    assert "residual1–4  × 4" in said
    assert f"8×8×4   4 × {first} = {4 * first:,}" in said
    each = 2 * (9 * 8 * 8 + 32)
    assert "residual2–4  × 3" in said
    assert f"8×8×8   3 × {each:,} = {3 * each:,}" in said
    assert said.count("shortcut") == 1  # of stage2.residual1


def test_equal_layers_are_drawn_once():
    said = texts(plain())
    assert {"dense1–12", "× 12", "Dense 4", "12 × 20 = 240"} <= set(said)
    assert len(layout(plain()).area.placed()) == 2


def test_frozen_weights_are_counted_apart():
    model = dk.ConvBlock(4).build((8, 8, 1))
    assert "52 parameters, 8 of them not trainable" in texts(model)
    assert "139 parameters" in texts(mlp())


def test_weights_used_twice_are_said_to_be_shared():
    said = texts(siamese())
    assert said.count("tower") == 2
    assert said.count("59") == 1
    assert said.count("59 shared") == 1


def test_a_shared_block_is_a_box_for_each_use():
    cell = dk.Shared(dk.MLP([4]), name="cell")
    said = texts(dk.Sequential([cell, cell, dk.Classifier(2)]).build((4,)))
    assert [text for text in said if text.startswith("20")] == ["20", "20 shared"]


def test_several_outputs_are_marked():
    said = texts(inception())
    assert sorted(text for text in said if "output" in text) == ["19 → output", "3 → output"]
    assert not any("output" in text for text in texts(mlp()))


def test_masks_that_keras_passes_on_are_no_boxes():
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
        (layers.BatchNormalization(), ("BatchNorm", "normalisation")),
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
def test_a_label_is_what_a_paper_would_write(layer, expected):
    assert (_labels.label(layer), _labels.category(layer)) == expected


def test_an_unknown_size_is_a_question_mark():
    assert "?×?×4" in texts(dk.ConvBlock(4).build((None, None, 1)))


# --- how it is nested ---


def test_names_with_dots_are_blocks():
    body = ("conv_block1", "conv_block2", "add activation")
    first = ("residual1", "shortcut", *body)
    stages = ("stage1", ("residual1–4", *body)), ("stage2", first, ("residual2–4", *body))
    assert tree(nest(resnet()).root) == ("resnet", "input", "conv_block", *stages, "classifier")


def test_names_with_underscores_are_blocks_where_no_name_has_a_dot():
    blocks = ("conv1", ("block1–2", "1", "add"))
    [name, image, *rest] = tree(nest(by_underscores()).root)
    assert (name, image, rest[0]) == ("applied", "image", blocks)
    assert len(rest) == 2  # and what Keras named itself


def test_underscores_between_what_is_no_block_stay():
    x = start = keras.Input((4,), name="start_here")
    for units, name in ((5, "top_conv"), (6, "my_middle"), (7, "top_dense"), (8, "my_end")):
        x = layers.Dense(units, name=name)(x)
    root = nest(keras.Model(start, x, name="m")).root
    assert tree(root) == ("m", "start_here", "top_conv", "my_middle", "top_dense", "my_end")


def test_names_that_keras_made_up_are_no_blocks():
    model = keras.Sequential([keras.Input((8, 8, 1)), layers.Conv2D(2, 3), layers.Conv2D(3, 3), layers.Flatten()])
    assert levels(nest(model).root) == 0
    assert len(nest(model).root.parts) == 4


def test_blocks_that_feed_each_other_in_a_circle_are_taken_apart():
    x = start = keras.Input((4,), name="start")
    for units, name in ((5, "a.first"), (6, "a.second"), (7, "b.only"), (8, "a.third")):
        x = layers.Dense(units, name=name)(x)
    root = nest(keras.Model(start, x, name="circle")).root
    assert tree(root) == ("circle", "start", "a.first", "a.second", "b", "a.third")


def test_a_layer_with_the_name_of_a_block_lies_in_it():
    start = keras.Input((4,), name="start")
    x = layers.LayerNormalization(name="dense.norm")(layers.Dense(4, name="dense")(start))
    assert tree(nest(keras.Model(start, x, name="m")).root) == ("m", "start", "dense")


def test_depth_closes_blocks_and_counts_their_layers():
    model = resnet()
    closed = layout(model, depth=0)
    assert {placed.level for placed in closed.area.placed()} == {0}
    said = texts(model, depth=0)
    assert {"stage2", "30 layers", "9 Conv2D", "9 BatchNorm", "8 ReLU"} <= set(said)
    assert {"residual2–4", "× 3", "7 layers", "2 Conv2D", "3 × 1,216 = 3,648"} <= set(texts(model, depth=1))
    assert layout(model, depth=9).area.placed() == layout(model, depth=2).area.placed()


def test_a_short_branch_that_is_closed_lists_its_layers():
    said = texts(inception(), depth=1)
    assert said.count("Conv2D 1×1, 2") == said.count("Conv2D 3×3, 4") == 2
    assert "conv_block1" not in said


def closed_block(*bodies, skip=False):
    """Return what is said in a closed block of convolutions behind the merge of its input with another."""
    x = other = layers.Dense(4, name="other")(start := keras.Input((8, 8, 4), name="start"))
    x = layers.Concatenate(name="up.fuse.concat")([start, x])
    for i, filters in enumerate(bodies):
        x = layers.Conv2D(filters, 3, padding="same", name=f"up.conv_block{i}.conv")(x)
        x = layers.Activation("relu", name=f"up.conv_block{i}.activation")(x)
    if skip:
        x = layers.Concatenate(name="up.again")([x, other])
    model = keras.Model(start, layers.Flatten(name="flat")(x), name="m")
    [block] = [placed.part for placed in layout(model, depth=0).area.placed() if placed.part.name == "up"]
    return [row.text for row in block.rows]


def test_a_closed_chain_lists_its_layers_also_behind_a_merge():
    assert closed_block(3, 2) == ["Concatenate", "Conv2D 3×3, 3", "ReLU", "Conv2D 3×3, 2", "ReLU"]
    assert closed_block(8, 8) == ["Concatenate", *["Conv2D 3×3, 8", "ReLU"] * 2]  # equal ones, drawn once if open
    assert closed_block(2, 3, 4, 5)[0] == "9 layers"


def test_a_closed_block_with_a_way_around_its_layers_counts_them():
    assert closed_block(3, 2, skip=True)[0] == "6 layers"


def test_inputs_of_another_type_than_float32_say_so():
    words = keras.Input((7,), name="words", dtype="int32")
    assert "Input int32" in texts(keras.Model(words, words + 1))
    model = keras.Sequential([keras.Input((7,), dtype="int32"), layers.Embedding(9, 2)])
    assert {"input", "int32"} <= set(texts(model))


# --- where it lies ---


def boxes(page):
    return [placed for placed in page.area.placed() if not placed.part.parts]


def test_boxes_lie_in_their_block_and_over_no_other(net):
    for depth in (None, 0, 1, 9):
        page = layout(net, depth=depth)
        placed = page.area.placed()
        assert all(p.x >= 0 and p.y >= 0 and p.x + p.width <= page.area.width + 1e-6 for p in placed)
        assert all(p.y + p.height <= page.area.height + 1e-6 for p in placed)
        for i, one in enumerate(placed):
            for other in placed[:i]:
                inside = set(one.part.uses) < set(other.part.uses) and one.level > other.level
                assert within(one, other) if inside else apart(one, other), (one.part.name, other.part.name)


def within(inner, outer):
    across = outer.x < inner.x and inner.x + inner.width < outer.x + outer.width
    return across and outer.y < inner.y and inner.y + inner.height < outer.y + outer.height


def apart(one, other):
    beside = one.x + one.width < other.x or other.x + other.width < one.x
    return beside or one.y + one.height < other.y or other.y + other.height < one.y


def test_every_way_of_the_data_is_a_line(net):
    for depth in (None, 0, 9):
        page = layout(net, depth=depth)
        at = {use: placed for placed in boxes(page) for use in placed.part.uses}
        folded = [set(p.part.uses) for p in page.area.placed() if p.part.times > 1]
        for target, use in enumerate(page.nest.uses):
            for source in use.sources:
                a, b = page.nest.place(source), page.nest.place(target)
                if at[a] != at[b]:
                    assert joined(page, a, at[a], at[b]) or any({a, b} <= uses for uses in folded)


def joined(page, net, source, target):
    """Whether lines of one net lead from the lower side of one box to the upper side of another."""
    lines = [[(round(x, 3), round(y, 3)) for x, y in line.points] for line in page.area.drawn() if line.net == net]
    reached, before = {points[0] for points in lines if on(points[0], source, source.y + source.height)}, None
    while before != reached:
        before = set(reached)
        reached |= {points[-1] for points in lines if points[0] in reached}
    return any(on(point, target, target.y) for point in reached)


def on(point, placed, y):
    return placed.x <= point[0] <= placed.x + placed.width and abs(point[1] - y) < 0.01


def test_lines_cross_no_box(net):
    page = layout(net)
    for line in page.area.drawn():
        for (ax, ay), (bx, by) in pairwise(line.points):
            for box in boxes(page):
                beside = max(ax, bx) < box.x + 0.5 or min(ax, bx) > box.x + box.width - 0.5
                assert beside or max(ay, by) < box.y + 0.5 or min(ay, by) > box.y + box.height - 0.5


def test_a_shortcut_goes_around_the_body_to_the_addition():
    page = layout(residual(3).build((4, 4, 3)))
    body = [placed for placed in boxes(page) if placed.part.name.startswith("conv_block")]
    [lane] = [line for line in page.area.drawn() if line.points[-1][0] - line.points[0][0] > 20 and not line.arrow]
    assert len(body) == 2
    assert all(lane.points[-1][0] > placed.x + placed.width for placed in body)


def test_a_long_model_is_wrapped_into_columns():
    model = keras.Sequential([keras.Input((4,)), *(layers.Dense(3 + i, name=f"dense{i}") for i in range(40))])
    page = layout(model)
    starts = [box.x for before, box in pairwise(boxes(page)) if box.y < before.y]
    assert len(starts) >= 1
    assert len(boxes(page)) == 41
    assert starts == sorted(starts)
    assert 1 / 3 <= page.width / page.height <= 3


def test_places_are_the_nearest_to_the_wishes():
    assert spread([0.0, 0.0, 10.0], [1.0, 1.0, 1.0], [4.0, 4.0]) == [-2.0, 2.0, 10.0]
    assert spread([0.0, 0.0], [3.0, 1.0], [4.0]) == [-1.0, 3.0]


def test_an_order_without_crossings_is_found():
    nodes = {key: Node(10.0) for key in "abcd"}
    rows = Rows(nodes, [Edge("a", "d", 0), Edge("b", "c", 1)], gap=5.0)
    assert rows.rows in ([["a", "b"], ["d", "c"]], [["b", "a"], ["c", "d"]])
    assert rows.left["a"] == rows.left["d"]


# --- files ---


def test_it_is_saved_as_svg_png_and_pdf(tmp_path):
    figure = dk.visualize.diagram(mlp(), tmp_path / "deep" / "mlp.svg")
    vector = (tmp_path / "deep" / "mlp.svg").read_text(encoding="utf-8")
    assert vector.startswith("<?xml")
    assert re.search(r"font-family: 'DejaVu Sans',[^;]* sans-serif[;\"]", vector)  # a viewer may lack the font
    path = dk.visualize.save(figure, tmp_path / "mlp.PNG")
    height, width, _ = imread(io.BytesIO(path.read_bytes()), format="png").shape
    page = layout(mlp())
    assert (width, height) == pytest.approx((2.5 * page.width, 2.5 * page.height), abs=1)
    assert dk.visualize.save(figure, tmp_path / "mlp.pdf").read_bytes().startswith(b"%PDF")


def test_a_picture_is_never_too_large():
    page = layout(mlp())
    page.width = 36_000.0
    assert draw(page).dpi == 40.0


def test_the_same_model_gives_the_same_file(tmp_path):
    model, before = residual(3).build((4, 4, 3)), dict(matplotlib.rcParams)
    for form in ("svg", "png", "pdf"):
        one, two = tmp_path / f"one.{form}", tmp_path / f"two.{form}"
        dk.visualize.diagram(model, one)
        dk.visualize.diagram(model, two)
        assert one.read_bytes() == two.read_bytes()
    assert dict(matplotlib.rcParams) == before


def test_an_unknown_ending_is_refused_before_anything_is_written(tmp_path):
    path = tmp_path / "new" / "model.jpg"
    expected = (
        f"expected a path that ends in .pdf, .png or .svg, received '{path}'\n  hint: '{path.with_suffix('.svg')}'"
    )
    with pytest.raises(ValueError, match=f"^{re.escape(expected)}$"):
        dk.visualize.diagram(mlp(), path)
    assert not path.parent.exists()


def test_the_old_file_is_kept_when_the_new_one_cannot_be_written(tmp_path, monkeypatch):
    path = tmp_path / "model.svg"
    path.write_text("old")

    def full(*_):
        raise OSError("no space left")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(OSError, match="no space left"):
        dk.visualize.diagram(mlp(), path)
    assert [p.name for p in tmp_path.iterdir()] == ["model.svg"]
    assert path.read_text() == "old"


# --- what cannot be drawn ---


class Subclassed(keras.Model):
    def call(self, x):
        return x


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        (
            Subclassed(name="mine"),
            "diagram: expected a Functional or Sequential model, received Subclassed 'mine', whose layers are known to "
            "its code alone\n  hint: the models in it, or keras.Model(x, model.call(x)) with x = keras.Input(shape)",
        ),
        (
            keras.Sequential([layers.Dense(2)], name="new"),
            "diagram: expected a built model, received Sequential 'new' without an input shape"
            "\n  hint: a keras.Input as its first layer, or model.build((None, 28, 28, 1))",
        ),
        (
            dk.MLP([3]),
            "diagram: expected a keras.Model, received MLP\n  hint: definition.build(input_shape)",
        ),
        ("model.keras", "diagram: expected a keras.Model, received str\n  hint: keras.Model(inputs, outputs)"),
    ],
    ids=["subclassed", "unbuilt", "definition", "text"],
)
def test_what_has_no_graph_is_refused(model, expected):
    with pytest.raises(ValueError, match=f"^{re.escape(expected)}$"):
        dk.visualize.diagram(model)


def test_a_subclassed_model_inside_another_is_one_box():
    start = keras.Input((3,), name="start")
    said = texts(keras.Model(start, Subclassed(name="$mine$")(start), name="outer"))
    assert {"$mine$", "Subclassed"} <= set(said)


@pytest.mark.parametrize("depth", [-1, 1.5])
def test_a_depth_is_a_whole_number(depth):
    expected = (
        f"diagram: expected a depth of 0 or more, received {depth}"
        "\n  hint: depth=0 for the outermost blocks, or leave it out"
    )
    with pytest.raises(ValueError, match=f"^{re.escape(expected)}$"):
        dk.visualize.diagram(mlp(), depth=depth)
