"""The lines of a diagram: none lies on another that leads elsewhere, and they do not cross for nothing."""

from itertools import combinations, pairwise

import pytest
from keras import layers

import deepkit as dk
from deepkit.visualize.diagrams.diagram import layout
from deepkit.visualize.diagrams.row_order import Edge, Node, Order
from deepkit.visualize.diagrams.tracks import Rail, in_tracks


def two():
    inputs = {"a": dk.Input((4,)), "b": dk.Input((900,))}
    answer = (["c", "d"], [dk.Merge("multiply", units=5), dk.Classifier(3)])
    return dk.Functional(
        name="two", inputs=inputs, nodes={"c": ("a", dk.MLP([8])), "d": ("b", dk.MLP([16])), "e": answer}, outputs="e"
    )


def vqa():
    asked = [layers.Embedding(100, 6, mask_zero=True), layers.Bidirectional(layers.LSTM(8))]
    nodes = {
        "seen": ("image", [dk.ConvStack(4), dk.ConvStack(8), layers.GlobalAveragePooling2D()]),
        "asked": ("question", asked),
        "answer": (["seen", "asked"], [dk.Merge("multiply", units=256), dk.MLP([256]), dk.Classifier(28)]),
    }
    inputs = {"image": dk.Input((16, 16, 3)), "question": dk.Input((None,), dtype="int32")}
    return dk.Functional(inputs=inputs, nodes=nodes, outputs="answer")


def double(filters, *before):
    return [*before, *(layers.Conv2D(filters, 3, padding="same", activation="relu") for _ in range(2))]


def unet():
    nodes = {
        "down1": ("image", double(2)),
        "pool1": ("down1", layers.MaxPooling2D()),
        "down2": ("pool1", double(4)),
        "pool2": ("down2", layers.MaxPooling2D()),
        "bottom": ("pool2", double(8, layers.Dropout(0.5))),
        "larger2": ("bottom", layers.Conv2DTranspose(4, 2, strides=2)),
        "up2": (["down2", "larger2"], double(4, dk.Merge(), layers.Dropout(0.5))),
        "larger1": ("up2", layers.Conv2DTranspose(2, 2, strides=2)),
        "up1": (["down1", "larger1"], double(2, dk.Merge())),
    }
    return dk.Functional(name="unet", inputs={"image": dk.Input((8, 8, 1))}, nodes=nodes, outputs="up1")


def siamese(units=None):
    tower = dk.Shared(dk.MLP([12, 6]), name="tower")
    same = (["a", "b"], [dk.Merge("subtract", units=units), dk.Classifier(1)])
    return dk.Functional(
        name="siamese",
        inputs={"left": dk.Input((8,)), "right": dk.Input((8,))},
        nodes={"a": ("left", tower), "b": ("right", tower), "same": same},
        outputs="same",
    )


def siamese_with_units():
    return siamese(5)


def crossed():
    """Return a net whose lines have to cross: three branches, and two fusions that take them in other orders."""
    nodes = {
        "x": ("a", dk.MLP([8])),
        "y": ("b", dk.MLP([16])),
        "z": ("c", dk.MLP([7])),
        "s": (["z", "x", "y"], dk.Merge("add", units=5)),
        "t": (["x", "z"], dk.Merge("multiply", units=3)),
        "u": (["s", "t"], [dk.Merge(), dk.Classifier(3)]),
    }
    return dk.Functional(name="crossed", inputs={key: dk.Input((4,)) for key in "abc"}, nodes=nodes, outputs="u")


@pytest.fixture(scope="module", params=[two, vqa, unet, siamese, siamese_with_units, crossed], ids=lambda f: f.__name__)
def page(request):
    return layout(request.param().build())


def segments(page):
    """Return each segment of the lines with its net and where it leads: a box, or just this line's end."""
    for line in page.area.drawn():
        x, y = line.points[-1]
        boxes = [
            p for p in page.area.placed() if not p.part.parts and abs(p.y - y) < 0.01 and p.x <= x <= p.x + p.width
        ]
        for a, b in pairwise(line.points):
            yield line.net, boxes[0].part.uses if line.arrow else line.points[-1], sorted((a, b))


def lie_on_each_other(one, other):
    for along, across in ((0, 1), (1, 0)):
        places = {round(point[across]) for point in (*one, *other)}
        low, high = max(one[0][along], other[0][along]), min(one[1][along], other[1][along])
        if len(places) == 1 and high - low > 0.5:
            return True
    return False


def test_no_line_lies_on_another_that_leads_elsewhere(page):
    for (net, end, one), (other_net, other_end, other) in combinations(segments(page), 2):
        if net != other_net and end != other_end:
            assert not lie_on_each_other(one, other), (page.nest.uses[net].path, page.nest.uses[other_net].path)


def crossings(page):
    level = [one for one in segments(page) if one[2][0][1] == one[2][1][1]]
    upright = [one for one in segments(page) if one[2][0][0] == one[2][1][0]]
    return sum(
        net != other and a[0] < x < b[0] and top < a[1] < bottom
        for net, _, (a, b) in level
        for other, _, ((x, top), (_, bottom)) in upright
    )


@pytest.mark.parametrize("make", [two, vqa, unet, siamese, siamese_with_units])
def test_lines_do_not_cross_where_they_need_not(make):
    assert crossings(layout(make().build())) == 0


def test_inputs_of_a_block_stand_in_the_order_of_what_is_outside():
    page = layout(two().build())
    x = {placed.part.rows[0].name: placed.x for placed in page.area.placed() if not placed.part.parts}
    assert x["a"] < x["b"]
    assert x["project1"] < x["project2"]


def test_the_places_where_lines_enter_a_block_count_as_an_order():
    ports = Node(40.0, ins={1: 30.0, 2: 10.0})
    order = Order({"a": Node(9.0), "b": Node(9.0), "block": ports}, [Edge("a", "block", 1), Edge("b", "block", 2)])
    assert order.rows == [["b", "a"], ["block"]]
    assert order.make_input("block") == [2, 1]


def test_rails_that_overlap_have_heights_without_crossings():
    rightward = Rail(0.0, (20.0,), None), Rail(10.0, (30.0,), None)
    assert in_tracks(rightward) == [1, 0]
    assert in_tracks([Rail(20.0, (0.0,), None), Rail(30.0, (10.0,), None)]) == [0, 1]
    assert in_tracks([Rail(0.0, (10.0,), None), Rail(40.0, (30.0,), None)]) == [0, 0]


def test_a_line_that_comes_down_where_another_starts_stays_below_it():
    assert in_tracks([Rail(0.0, (20.0,), None), Rail(20.0, (40.0,), None)]) == [1, 0]


def test_lines_that_meet_at_one_box_may_meet_before_it():
    assert in_tracks([Rail(0.0, (20.0,), "add"), Rail(10.0, (30.0,), "add")]) == [0, 0]
