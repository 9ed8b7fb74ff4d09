r"""Visual questions: answer questions about an image, which neither the image nor the question answers alone.

A convolutional network computes a feature map of the image, and the words of the question become a vector. The product
of both at each position of the map marks the object of the question, and an attention relates this object to the
others. Antol et al. 2015 merge image and question by such a product too, but with one vector for the whole image.
Questions about relations need the positions (Santoro et al. 2017).

    $$ g_i = h_i \odot (V q) $$

Here h_i is the feature vector of the image at position i, and q is the vector of the question. A network may answer
well without the image: Antol et al. reach 48.76 % with the question alone. Two controls are trained here: one sees the
image alone, the other reads the question alone. The generated scenes are balanced, so a control cannot do better than
to give the same answer to all questions of a type.

`--folder` names a folder with NLVR (Suhr et al. 2017): drawings, and sentences by humans that are true or false. The
training split of NLVR is not used, so this is a trial, not a result.

    deepkit run visual_questions
    deepkit run visual_questions --folder FOLDER
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers

import deepkit as dk
from deepkit.recipe import Claim, Curve, Deviation, Recipe, Result, Settings, main, parameters
from recipes import papers
from recipes.sequence.nlvr import load_nlvr
from recipes.sequence.visual_questions_figures import NETWORKS, TYPES, draw_curves

PAPER = papers.ANTOL_2015
CLAIMS = (
    *(
        Claim(
            metric=f"gain over the {control} alone",
            value="above 0",
            where="table 2",
            setting=f"VQA test-dev, open-ended: LSTM Q + I 53.74 %, {name} {accuracy} %",
            note="photographs and free questions in the paper; only the sign is comparable",
        )
        for control, name, accuracy in (("question", "LSTM Q", 48.76), ("image", "I", 28.13))
    ),
    Claim(
        metric="relational accuracy",
        value="above 94 %",
        where="Santoro et al. 2017, section 5.3",
        setting="Sort-of-CLEVR, a relation network; 63 % with an MLP in its place",
        when={"folder": None},
        note="another network; the questions here are balanced, and leave out distances that differ little",
    ),
)
DEVIATIONS = (
    Deviation(
        "Generated scenes after Sort-of-CLEVR (Santoro et al. 2017, section 3.2) with one question for each image, in "
        "place of photographs with questions by humans (section 3).",
        {"folder": None},
    ),
    "Image and question are merged at each position of the feature map, in place of one vector for the whole image "
    "(section 5.2): one vector does not contain the place of an object.",
    "An attention relates the marked object to all others; the paper has no such part.",
    "The mean of the embeddings of the words, in place of an LSTM (section 5.2): the order of the words does not "
    "change the meaning of these questions.",
    "The layers for the image are trained with the rest, in place of a VGG net that was trained on photographs "
    "(section 5.2).",
    "The controls have no layers for the other input, and are trained for fewer epochs: they can learn only the "
    "frequencies of the answers.",
)
METRICS = {
    "test accuracy": "share of correctly answered test questions, in percent; the test data is read once, at the end",
    **{f"test accuracy, {name}": f"the same for questions of the type {name}" for name in TYPES},
    "relational accuracy": "mean of the test accuracies of the types distance and count, in percent",
    **{f"test accuracy, {name}": f"the same for a network with the {name}" for name in list(NETWORKS)[1:]},
    **{
        f"above chance, {name}": f"largest accuracy minus chance over the types of questions, for a network with the "
        f"{name}, in points; chance is the accuracy of the best constant answer"
        for name in list(NETWORKS)[1:]
    },
    "gain over the question alone": "test accuracy minus that of the network with the question alone, in points",
    "gain over the image alone": "test accuracy minus that of the network with the image alone, in points",
    "validation accuracy": "the same as the test accuracy for the validation questions",
    "parameters": "trainable weights, with image and question",
}

# chosen by the accuracy on validation scenes
WIDTH, NUM_HEADS, IMAGE_SIZE = 64, 4, 36
NUM_WORDS = 150  # enough for the questions, and for the sentences of NLVR


@dataclass(frozen=True, kw_only=True)
class Config(Settings):
    """A network that answers questions about images, and two controls."""

    QUICK = {"seeds": 1, "epochs": 1, "num_scenes": 600}

    folder: Path | None = None
    """Folder with NLVR: images.zip, and dev.jsonl, test.jsonl and hidden.jsonl with an image, a sentence and a label
    in each line."""
    num_scenes: int = 40_000
    """Scenes for training, and as many for the test; a twentieth of those for training are for validation."""
    epochs: int = 8
    """Epochs of training for the network with image and question."""
    control_epochs: int = 3
    """Epochs of training for the controls."""
    learning_rate: float = 2e-3
    """Peak learning rate of Adam, which follows one cycle."""
    batch_size: int = 64
    """Questions per step."""


def load_data(config: Config) -> dk.data.Data:
    """Return the generated questions, or the sentences of NLVR from their folder."""
    count = min(config.num_scenes, config.max_examples or config.num_scenes)
    if config.folder is not None:
        data = load_nlvr(config.folder, count, batch_size=config.batch_size, seed=config.seed)
        print(f"{data.describe()}, a split of its own, standing in for VQA: not comparable with the paper")
        return data
    return dk.data.scenes(
        "questions",
        count,
        seed=config.seed,
        image_size=IMAGE_SIZE,
        validation=count // 20,
        batch_size=config.batch_size,
    )


def network(name: str, image_shape: Sequence[int], num_classes: int) -> dk.Block:
    """Return the network with image and question, or one of the controls."""
    # three convolutions with strides of 2 leave a feature map in which an object has about the size of a position
    see: list[Any] = [dk.ConvBlock(32, strides=2), dk.ConvBlock(WIDTH, strides=2), dk.ConvBlock(WIDTH, strides=2)]
    read: list[Any] = [
        dk.Text(NUM_WORDS),
        layers.Embedding(NUM_WORDS, WIDTH, embeddings_initializer=normal(1.0), mask_zero=True),
        dk.layers.MaskedPooling1D("avg"),
        layers.LayerNormalization(),
    ]
    decide: list[Any] = [dk.MLP([128]), dk.Classifier(num_classes)]
    if name == "image alone":
        return dk.Sequential([*see, layers.Flatten(), dk.MLP([256]), *decide], name="image_alone")
    if name == "question alone":
        return dk.Sequential([*read, *decide], name="question_alone")
    return dk.Functional(
        inputs={"image": dk.Input(tuple(image_shape)), "question": dk.Input((), dtype="string")},
        nodes={
            "seen": ("image", see),
            "asked": ("question", read),
            "gate": ("asked", [layers.Dense(WIDTH), layers.Reshape((1, 1, WIDTH))]),
            "marked": (["seen", "gate"], [layers.Multiply()]),
            "objects": ("seen", with_positions(image_shape)),
            "asked_object": ("marked", with_positions(image_shape)),
            "relation": ("asked", [layers.Dense(WIDTH), layers.Reshape((1, WIDTH))]),
            "query": (["asked_object", "relation"], [layers.Add()]),
            "related": (["query", "objects"], [dk.MultiHeadAttention(NUM_HEADS)]),
            "pairs": (["query", "related"], [dk.Merge("concat"), layers.Dense(WIDTH, "relu"), layers.Flatten()]),
            "found": ("marked", [layers.Flatten()]),
            "evidence": (["found", "pairs"], [dk.Merge("concat"), dk.MLP([256])]),
            "scene": ("seen", [layers.Flatten(), dk.MLP([WIDTH])]),
            "answer": (["evidence", "scene", "asked"], [dk.Merge("concat"), *decide]),
        },
        outputs="answer",
        name="image_and_question",
    )


def with_positions(image_shape: Sequence[int]) -> list[layers.Layer]:
    """Return layers that turn a feature map into a sequence, and add an embedding of the position to each step."""
    num_positions = math.prod(math.ceil(size / 8) for size in image_shape[:2])
    embedding = dk.layers.PositionEmbedding("learned", num_positions, embeddings_initializer=normal(0.5))
    return [layers.Reshape((num_positions, WIDTH)), embedding]


def normal(stddev: float) -> keras.initializers.Initializer:
    """Return an initializer of embeddings as large as the features: the product hardly depends on smaller ones."""
    return keras.initializers.RandomNormal(stddev=stddev)


def definition(config: Config) -> dk.Block:
    """Return the network with image and question."""
    return network("image and question", (IMAGE_SIZE, IMAGE_SIZE, 3), num_classes=11)


def train(config: Config) -> Result:
    """Train the three networks, and measure their accuracy for each type of question."""
    data = load_data(config)
    types, chance = question_types(data)
    runs, correct = {}, {}
    for name in NETWORKS:
        visible = select(data, name, config)
        runs[name] = train_one(config, name, visible)
        correct[name] = answers(runs[name].model, visible.test) == data.test.labels_in_memory
    shares = {name: accuracy_by_type(correct[name], types) for name in NETWORKS}
    joint, *controls = NETWORKS
    totals = {name: 100 * float(correct[name].mean()) for name in NETWORKS}
    measured = {"test accuracy": totals[joint]}
    if len(chance) > 1:
        measured |= {f"test accuracy, {kind}": share for kind, share in shares[joint].items()}
        measured["relational accuracy"] = (shares[joint]["distance"] + shares[joint]["count"]) / 2
    for name in controls:
        measured[f"test accuracy, {name}"] = totals[name]
        measured[f"above chance, {name}"] = max(share - chance[kind] for kind, share in shares[name].items())
        measured[f"gain over the {name}"] = totals[joint] - totals[name]
    measured["validation accuracy"] = 100 * runs[joint].history["val_accuracy"][-1]
    measured["parameters"] = parameters(runs[joint].model)
    curves = {name: Curve(range(len(shares[name])), list(shares[name].values())) for name in NETWORKS}
    return Result(
        measured=measured,
        data=data.summary(),
        comparable=data.stand_in_for is None,
        model=runs[joint].model,
        seconds=sum(run.seconds for run in runs.values()),
        curves={**curves, "chance": Curve(range(len(chance)), list(chance.values()))},
    )


def train_one(config: Config, name: str, data: dk.data.Data) -> dk.Run:
    """Train one network in its own folder of the run directory."""
    epochs = config.epochs if name == "image and question" else min(config.epochs, config.control_epochs)
    shape: Any = data.input_shape["image"] if isinstance(data.input_shape, dict) else data.input_shape
    return config.fit(
        network(name, shape, data.num_classes or 2),
        data,
        epochs=epochs,
        run_dir=config.run_dir and config.run_dir / name.replace(" ", "_"),
        learning_rate=dk.OneCycle(config.learning_rate),
    )


def select(data: dk.data.Data, name: str, config: Config) -> dk.data.Data:
    """Return the data with the inputs of a network: both inputs, or one of them."""
    if name == "image and question":
        return data
    key = name.removesuffix(" alone")
    splits = {}
    for split in ("train", "validation", "test"):
        pipeline = getattr(data, split)
        x, y = next(iter(pipeline.stored_batches(pipeline.num_examples)))
        splits[split] = (x[key].numpy(), y.numpy())
    return dk.data.from_arrays(
        *splits["train"],
        validation=splits["validation"],
        test=splits["test"],
        batch_size=config.batch_size,
        seed=config.seed,
        name=f"{name} of {data.name}",
    )


def question_types(data: dk.data.Data) -> tuple[np.ndarray, dict[str, float]]:
    """Return the type of each test question, and the chance of each type in percent; "all" for NLVR."""
    if isinstance(data, dk.data.SceneData):
        return data.question_types("test"), {kind: 100 * share for kind, share in data.chance.items()}
    labels = data.test.labels_in_memory
    return np.full(len(labels), "all"), {"all": 100 * np.bincount(labels).max() / len(labels)}


def answers(model: keras.Model, split: dk.data.Pipeline) -> np.ndarray:
    """Return the predicted classes of the examples of a split."""
    return np.argmax(model.predict(split, verbose=0), axis=-1)


def accuracy_by_type(correct: np.ndarray, types: np.ndarray) -> dict[str, float]:
    """Return the share of correct answers to each type of question, in percent."""
    order = [kind for kind in (*TYPES, "all") if (types == kind).any()]
    return {kind: 100 * float(correct[types == kind].mean()) for kind in order}


RECIPE = Recipe(
    name="visual_questions",
    paper=PAPER,
    related=(papers.SANTORO_2017, papers.SUHR_2017),
    config=Config,
    train=train,
    definition=definition,
    input_shape=lambda config: {"image": (IMAGE_SIZE, IMAGE_SIZE, 3), "question": ()},
    metrics=METRICS,
    claims=CLAIMS,
    deviations=DEVIATIONS,
    draw_curves=draw_curves,
    annotated=(network, with_positions, select),
    exercises=(
        "Leave out the attention (`pairs`): which types of questions lose the most accuracy?",
        "Replace the product of `marked` by a sum: how many more epochs does the training need?",
        "Pass one type as `question_types=` in `load_data`: does the network learn it faster alone?",
    ),
)

if __name__ == "__main__":
    raise SystemExit(main(RECIPE))
