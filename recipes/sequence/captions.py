r"""Captions: a network describes scenes, and attends to each object while it generates the words for it.

An encoder computes a feature map of an image, and a decoder generates a caption word by word. At each word, it attends
to the feature map (Xu et al. 2015). Soft attention reads the weighted mean of all positions. Hard attention reads one
position, which is drawn from the weights in training; the weights are trained by the score function. A third network
has soft attention and the doubly stochastic penalty, which makes the decoder attend to every part of the image over the
whole caption.

The scenes are generated, so the object of each word is known. The recipe measures the share of the attention on the
object whose color or shape the network generates, and the share of captions that are right word for word.

    $$ \hat{z}_t = \sum_i \alpha_{ti} a_i $$

    $$ L = -\log p(y \mid x) + \lambda \sum_i \left(1 - \sum_t \alpha_{ti}\right)^2 $$

    deepkit run captions
    deepkit run captions --folder FOLDER
"""

from __future__ import annotations

import csv
import dataclasses
import io
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

import deepkit as dk
from deepkit.data.scenes import SceneData
from deepkit.models.alignment import ImageAttentionMap
from deepkit.recipe import Recipe, Result, Settings, main, parameters
from deepkit.utils.errors import message
from recipes import papers

PAPER = papers.XU_2015
DEVIATIONS = (
    "Generated scenes of two or three colored shapes, in place of photographs: the object of each word is known, and "
    "no number of the paper is comparable.",
    "A convolutional network that is trained from scratch, in place of one trained on ImageNet (section 4.3).",
    "The attention follows the decoder, so that all words of a caption are computed at once; in the paper the context "
    "is an input of the step (section 3.1.2).",
    "A GRU, in place of an LSTM (section 3.1.2); no gating scalar of the context (section 4.2.1).",
    "At inference, hard attention reads the position with the largest weight.",
    "The baseline of hard attention is the log-probability of the word given the mean of all positions, in place of a "
    "moving average (section 4.1).",
)
VARIANTS = {"soft": "", "hard": ", hard", "doubly stochastic": ", doubly stochastic"}  # suffixes of their metrics
METRICS = {
    "exact captions": "share of the test captions that are right word for word, in percent, with soft attention; the "
    "test data is read once, at the end",
    "attention on object": "share of the attention on the positions that overlap the object, in percent: the mean over "
    "all words for a color or a shape, with soft attention, given the true words before them",
    "exact captions, hard": "the same with hard attention",
    "attention on object, hard": "the same with hard attention",
    "exact captions, doubly stochastic": "the same with soft attention and the penalty",
    "attention on object, doubly stochastic": "the same with soft attention and the penalty",
    "chance": "the same for uniform attention: the share of the positions that overlap the object",
    "parameters": "trainable weights",
}
UNITS, EMBEDDING_DIM, FILTERS = 96, 48, 48
MAX_LENGTH = 20


@dataclass(frozen=True, kw_only=True)
class Config(Settings):
    """Three captioners, which differ only in the attention."""

    QUICK = {"seeds": 1, "epochs": 1, "num_scenes": 160, "batch_size": 4}

    folder: Path | None = None
    """Folder with captions.csv (columns image and caption) and images.zip, for real captions; not comparable."""
    epochs: int = 8
    """Epochs of training for each network."""
    num_scenes: int = 6_000
    """Scenes for training, and for the test."""
    doubly_stochastic: float = 0.01
    """Factor of the doubly stochastic penalty."""
    learning_rate: float = 4e-3
    """Peak learning rate of Adam, which follows one cycle."""
    batch_size: int = 64
    """Scenes per step."""


def load_data(config: Config) -> dk.data.Data:
    """Return images with captions: generated scenes, or those of a folder."""
    if config.folder is not None:
        return load_folder(config.folder, config)
    validation = min(500, config.num_scenes // 4)
    return dk.data.scenes(
        "captions", config.num_scenes, validation=validation, batch_size=config.batch_size, seed=config.seed
    )


def load_folder(folder: Path, config: Config, image_size: int = 64) -> dk.data.Data:
    """Return photographs with their first caption, scaled to squares; the last tenth is the test data."""
    from PIL import Image

    for name in ("captions.csv", "images.zip"):
        if not (folder / name).is_file():
            problem = f"{folder} does not contain {name}"
            raise FileNotFoundError(message(problem, hint="use a folder with captions.csv and images.zip"))
    captions: dict[str, str] = {}
    with open(folder / "captions.csv", newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            captions.setdefault(row["image"], row["caption"])
    images = []
    with zipfile.ZipFile(folder / "images.zip") as archive:
        for name in captions:
            image = Image.open(io.BytesIO(archive.read(name))).convert("RGB").resize((image_size, image_size))
            images.append(np.asarray(image))
    pixels, texts = np.stack(images), np.array(list(captions.values()), object)
    if config.quick:
        pixels, texts = pixels[:160], texts[:160]
    num_test = max(1, len(texts) // 10)
    pixels = pixels.astype("float32") / 255
    data = dk.data.from_arrays(
        pixels[:-num_test],
        texts[:-num_test],
        test=(pixels[-num_test:], texts[-num_test:]),
        validation=num_test,
        batch_size=config.batch_size,
        seed=config.seed,
        name="photographs",
    )
    return dataclasses.replace(data, stand_in_for="the scenes")


def captioner(config: Config, variant: str = "soft") -> dk.Captioner:
    """Return the network of a variant."""
    conv = dk.ConvBlock(FILTERS, norm="batch")
    return dk.Captioner(
        [
            dk.ConvStack(FILTERS // 2, norm="batch"),
            dk.ConvStack(FILTERS, norm="batch"),
            *(dk.Residual([conv, dilated(rate)]) for rate in (2, 4)),  # each position sees the whole scene
        ],
        text=dk.Text(3_000 if config.folder else 30),
        embedding_dim=EMBEDDING_DIM,
        decoder=dk.Recurrent("gru", UNITS),
        hard=variant == "hard",
        doubly_stochastic=config.doubly_stochastic if variant == "doubly stochastic" else 0.0,
        name=variant.replace(" ", "_"),
    )


def dilated(rate: int) -> dk.ConvBlock:
    """Return a dilated convolution."""
    return dk.ConvBlock(FILTERS, norm="batch", conv={"dilation_rate": rate})


def definition(config: Config) -> dk.Captioner:
    """Return the network with soft attention."""
    return captioner(config)


def train(config: Config) -> Result:
    """Train the three networks, and measure their captions and their attention."""
    data = load_data(config)
    images, labels = data.test.arrays()
    captions = [label.decode() for label in labels]
    runs, measured = {}, {}
    for variant, suffix in VARIANTS.items():
        run = train_one(config, variant, data)
        generated = run.model.caption(images, num_beams=1, max_length=MAX_LENGTH)
        measured[f"exact captions{suffix}"] = 100 * float(np.mean(np.array(generated) == np.array(captions)))
        if isinstance(data, SceneData):
            boxes = data.word_boxes("test")
            maps = run.model.attention_maps(images, captions)
            on_object, chance = attention_on_objects(maps, boxes, images.shape[1])
            measured[f"attention on object{suffix}"] = 100 * on_object
            measured["chance"] = 100 * chance
        runs[variant] = run
    model = runs["soft"].model
    measured["parameters"] = parameters(model)
    return Result(
        measured={name: measured[name] for name in METRICS if name in measured},
        data=data.summary(),
        comparable=data.stand_in_for is None,
        model=model,
        seconds=sum(run.seconds for run in runs.values()),
    )


def train_one(config: Config, variant: str, data: dk.data.Data) -> dk.Run:
    """Train one network in its own folder of the run directory."""
    return config.fit(
        captioner(config, variant),
        data,
        run_dir=config.run_dir and config.run_dir / variant.replace(" ", "_"),
        learning_rate=dk.OneCycle(config.learning_rate),
    )


def attention_on_objects(maps: Sequence[ImageAttentionMap], boxes: np.ndarray, image_size: int) -> tuple[float, float]:
    """Return the mean share of the attention on the object of a word, and the share of uniform attention.

    Args:
        maps: The attention of each scene.
        boxes: Top, left, bottom and right of the object of each word, `(scenes, words, 4)`; zeros for other words.
        image_size: Width and height of a scene in pixels.
    """
    shares, uniform = [], []
    for attention, scene in zip(maps, boxes, strict=True):
        size = attention.weights.shape[1]
        stride = image_size // size
        for weights, (top, left, bottom, right) in zip(attention.weights[:-1], scene, strict=False):
            if bottom == 0:
                continue
            region = weights[top // stride : -(-bottom // stride), left // stride : -(-right // stride)]
            shares.append(region.sum())
            uniform.append(region.size / size**2)
    return float(np.mean(shares)), float(np.mean(uniform))


def draw(config: Config, results: Sequence[Result]) -> Mapping[str, Figure]:
    """Draw the soft attention at each word of two captions."""
    images, _ = load_data(config).test.arrays(2)
    captions, maps = results[0].model.caption(images, max_length=MAX_LENGTH, return_attention=True)
    return {
        f"Attention at each word: {caption}": dk.visualize.attention(
            attention.weights, image=image, target=attention.target, grid=attention.weights.shape[1:]
        )
        for image, caption, attention in zip(images, captions, maps, strict=True)
    }


RECIPE = Recipe(
    name="captions",
    paper=PAPER,
    related=(papers.WILLIAMS_1992,),
    config=Config,
    train=train,
    definition=definition,
    input_shape=lambda config: (64, 64, 3) if config.folder else (48, 48, 3),
    metrics=METRICS,
    deviations=DEVIATIONS,
    draw=draw,
    annotated=(captioner, attention_on_objects),
    exercises=(
        "Draw the attention of the network with the penalty: which positions beyond the objects does it attend to?",
        "Replace the GRU by `dk.TransformerDecoder(4, num_layers=2)`: does its last layer attend to the objects too?",
    ),
)

if __name__ == "__main__":
    raise SystemExit(main(RECIPE))
