"""Edge routing of diagrams: lines to different targets do not overlap, and there are no avoidable crossings."""

from itertools import combinations, pairwise

import pytest
from keras import layers

import deepkit as dk
from deepkit.visualize.diagrams.diagram import lay_out_page
from deepkit.visualize.diagrams.row_order import Edge, Node, OrderedRows
from deepkit.visualize.diagrams.tracks import HorizontalSegment, assign_tracks


def two():
    inputs = {"a": dk.Input((4,)), "b": dk.Input((900,))}
    answer = (["c", "d"], [dk.Merge("multiply", units=5), dk.Classifier(3)])
    return dk.Functional(
        name="two", inputs=inputs, nodes={"c": ("a", dk.MLP([8])), "d": ("b", dk.MLP([16])), "e": answer}, outputs="e"
    )


def vqa():
    question = [layers.Embedding(100, 6, mask_zero=True), layers.Bidirectional(layers.LSTM(8))]
    nodes = {
        "seen": ("image", [dk.ConvStack(4), dk.ConvStack(8), layers.GlobalAveragePooling2D()]),
        "asked": ("question", question),
        "answer": (["seen", "asked"], [dk.Merge("multiply", units=256), dk.MLP([256]), dk.Classifier(28)]),
    }
    inputs = {"image": dk.Input((16, 16, 3)), "question": dk.Input((None,), dtype="int32")}
    return dk.Functional(inputs=inputs, nodes=nodes, outputs="answer")


def double(filters, *first_layers):
    return [*first_layers, *(layers.Conv2D(filters, 3, padding="same", activation="relu") for _ in range(2))]


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
    """Return a network whose lines have to cross: two merges take three branches in different orders."""
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
    return lay_out_page(request.param().build())


def segments(page):
    """Yield each segment of the lines with its net and its target: the calls of a box, or the end of the line."""
    for line in page.area.placed_lines():
        x, y = line.points[-1]
        boxes = []
        for placed in page.area.placed_elements():
            is_box = not placed.element.children
            if is_box and abs(placed.y - y) < 0.01 and placed.x <= x <= placed.x + placed.width:
                boxes.append(placed)
        for a, b in pairwise(line.points):
            target = boxes[0].element.calls if line.has_arrow else line.points[-1]
            yield line.net, target, sorted((a, b))


def overlap(one, other):
    for along, across in ((0, 1), (1, 0)):
        positions = {round(point[across]) for point in (*one, *other)}
        low, high = max(one[0][along], other[0][along]), min(one[1][along], other[1][along])
        if len(positions) == 1 and high - low > 0.5:
            return True
    return False


def test_lines_to_different_targets_do_not_overlap(page):
    for (net, target, one), (other_net, other_target, other) in combinations(segments(page), 2):
        if net != other_net and target != other_target:
            assert not overlap(one, other), (page.graph.calls[net].path, page.graph.calls[other_net].path)


def crossings(page):
    horizontal = [segment for segment in segments(page) if segment[2][0][1] == segment[2][1][1]]
    vertical = [segment for segment in segments(page) if segment[2][0][0] == segment[2][1][0]]
    return sum(
        net != other and a[0] < x < b[0] and top < a[1] < bottom
        for net, _, (a, b) in horizontal
        for other, _, ((x, top), (_, bottom)) in vertical
    )


@pytest.mark.parametrize("make", [two, vqa, unet, siamese, siamese_with_units])
def test_there_are_no_avoidable_crossings(make):
    assert crossings(lay_out_page(make().build())) == 0


def test_inputs_of_a_block_have_the_order_of_their_sources():
    page = lay_out_page(two().build())
    boxes = [placed for placed in page.area.placed_elements() if not placed.element.children]
    x = {box.element.rows[0].name: box.x for box in boxes}
    assert x["a"] < x["b"]
    assert x["project1"] < x["project2"]


def test_the_ports_of_a_block_order_the_row_above():
    block = Node(40.0, in_ports={1: 30.0, 2: 10.0})
    nodes = {"a": Node(9.0), "b": Node(9.0), "block": block}
    ordered = OrderedRows(nodes, [Edge("a", "block", 1), Edge("b", "block", 2)])
    assert ordered.rows == [["b", "a"], ["block"]]
    assert ordered.incoming_nets("block") == [2, 1]


def test_overlapping_segments_have_tracks_without_crossings():
    rightward = [HorizontalSegment(0.0, (20.0,), None), HorizontalSegment(10.0, (30.0,), None)]
    assert assign_tracks(rightward) == [1, 0]
    assert assign_tracks([HorizontalSegment(20.0, (0.0,), None), HorizontalSegment(30.0, (10.0,), None)]) == [0, 1]
    assert assign_tracks([HorizontalSegment(0.0, (10.0,), None), HorizontalSegment(40.0, (30.0,), None)]) == [0, 0]


def test_a_segment_that_starts_where_another_ends_is_above_it():
    assert assign_tracks([HorizontalSegment(0.0, (20.0,), None), HorizontalSegment(20.0, (40.0,), None)]) == [1, 0]


def test_lines_into_one_box_may_share_a_track():
    assert assign_tracks([HorizontalSegment(0.0, (20.0,), "add"), HorizontalSegment(10.0, (30.0,), "add")]) == [0, 0]
