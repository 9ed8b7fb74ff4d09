r"""Dates: attention aligns a date in one of ten formats with its ISO date, and letters with their reverse.

"Thursday, 3 May 1979", "May 3rd, 1979" and "05/03/79" are the same day, 1979-05-03. The order of the parts differs, so
a network that generates the ISO date has to find the year first, wherever it is. Without attention, the decoder knows
the source only by the final states of the encoder. With attention, it attends to the relevant characters of the source
at each character that it generates (Bahdanau et al. 2015), and the attention weights show which ones. Two networks that
differ only in the attention are trained here on the same pairs for the same few epochs, and their answers to days that
neither has seen are compared.

In the variant `reversed` the pairs are random letters and the same letters in reverse order. The alignment of such a
pair is known: from the last letter of the source to the first.

    $$ c_i = \sum_j \alpha_{ij} h_j, \quad \alpha_{ij} \propto \exp\left(v^\top \tanh(W s_i + U h_j)\right) $$

    deepkit run dates
    deepkit run dates --variant reversed
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import keras
import numpy as np
from matplotlib.figure import Figure

import deepkit as dk
from deepkit.recipe import Claim, Deviation, Recipe, Result, Settings, main, parameters
from deepkit.visualize.figures import BLUE, ORANGE
from recipes import papers
from recipes.sequence.generated_pairs import accuracy_curves, draw_accuracy, exact_match, texts_of

PAPER = papers.BAHDANAU_2015
CLAIMS = (
    Claim(
        metric="gain",
        value="above 0",
        where="section 5.1",
        setting="WMT'14 English to French, BLEU",
        note="here the difference of the exact matches; only the sign is comparable",
    ),
)
DEVIATIONS = (
    Deviation("Dates and their ISO form in place of English and French news (section 4.1).", {"variant": "dates"}),
    Deviation("Random letters and their reverse in place of news (section 4.1).", {"variant": "reversed"}),
    "Characters in place of words (section 4.1).",
    "The attention follows the decoder, as in Luong et al. 2015, so that all steps of a training pair are computed at "
    "once; in the paper the previous state is the query, and the context is an input of the step (section 3.1).",
    "64 units in each direction and embeddings of 32 features, in place of 1,000 and 620 with a maxout layer after "
    "them (appendix A.2.3).",
    "Adam with one cycle of the learning rate, in place of Adadelta (section 4.2 and appendix B).",
    "Greedy search in place of beam search (section 4.2), because a pair has one answer.",
    "Both networks are trained for the same few epochs, after which the one without attention still improves; in the "
    "paper both are trained for about five days (section 4.2).",
)
METRICS = {
    "exact match, with attention": "share of 5,000 test pairs whose generated target is correct in every character, in "
    "percent; the test data is read once, at the end",
    "exact match, without attention": "the same for the network without attention",
    "gain": "the difference of the two",
    "alignment": "variant reversed: share of the letters of 500 validation targets at which the largest attention "
    "weight is that of the source letter that they repeat, in percent",
    "parameters": "trainable weights, with attention",
}

# usual values, which were not tuned; only the numbers of epochs were chosen, on validation pairs
UNITS, EMBEDDING_DIM = 64, 32
NUM_TEST, NUM_ALIGNED = 5_000, 500
COLORS = {"with attention": BLUE, "without attention": ORANGE}
CHARACTERS = {"dates": 48, "reversed": 28}  # at most, with those of padding and unknown characters
EXAMPLES = {
    "dates": ("Thursday, 3 May 1979", "May 3rd, 1979", "05/03/79"),
    "reversed": ("attention", "translation"),
}
DEFAULTS = {"dates": {"epochs": 4}, "reversed": {"epochs": 10}}


@dataclass(frozen=True, kw_only=True)
class Config(Settings):
    """A network with attention, and one without."""

    QUICK = {"seeds": 1, "epochs": 1, "num_pairs": 600}

    variant: Literal["dates", "reversed"] = "dates"
    """Dates in ten formats to ISO dates, or letters to the same letters in reverse order."""
    seeds: int = 3
    """Number of repeats, each with its own pairs and initial weights."""
    epochs: int | None = None
    """Epochs of training for each network; depends on the variant by default."""
    num_pairs: int = 10_000
    """Pairs for training, a tenth of them for validation."""
    learning_rate: float = 0.01
    """Peak learning rate of Adam, which follows one cycle."""
    batch_size: int = 64
    """Pairs per step."""

    def resolve_defaults(self) -> Mapping[str, Any]:
        """Return the settings of the variant."""
        return DEFAULTS[self.variant]


def load_data(config: Config) -> dk.data.Data:
    """Return pairs of texts; no day and no sequence of letters occurs twice."""
    return dk.data.text_pairs(
        config.variant, config.num_pairs, validation=0.1, batch_size=config.batch_size, seed=config.seed
    )


def converter(variant: str, attention: str | None) -> dk.Seq2Seq:
    """Return the network of a variant with an attention score, or without attention."""
    return dk.Seq2Seq(
        dk.Text(CHARACTERS[variant], split="character", standardize="lower"),
        embedding_dim=EMBEDDING_DIM,
        encoder=dk.Recurrent("gru", UNITS, bidirectional=True),
        decoder=dk.Recurrent("gru", UNITS),
        attention=attention,
        name="converter" if attention else "converter_without_attention",
    )


def definition(config: Config) -> dk.Seq2Seq:
    """Return the network with attention."""
    return converter(config.variant, "additive")


def train(config: Config) -> Result:
    """Train both networks on the same pairs, and compare their answers."""
    data = load_data(config)
    runs = {name: train_one(config, name, data) for name in COLORS}
    model = runs["with attention"].model
    matches = {name: exact_match(run.model, data.test, NUM_TEST) for name, run in runs.items()}
    measured = {
        **{f"exact match, {name}": match for name, match in matches.items()},
        "gain": matches["with attention"] - matches["without attention"],
        "parameters": parameters(model),
    }
    if config.variant == "reversed":
        measured["alignment"] = alignment(model, *texts_of(data.validation, NUM_ALIGNED))
    return Result(
        measured=measured,
        data=data.summary(),
        model=model,
        curves=accuracy_curves(runs),
        seconds=sum(run.seconds for run in runs.values()),
    )


def train_one(config: Config, name: str, data: dk.data.Data) -> dk.Run:
    """Train one network in its own folder of the run directory."""
    run_dir = config.run_dir and config.run_dir / name.replace(" ", "_")
    net = converter(config.variant, "additive" if name == "with attention" else None)
    return config.fit(net, data, run_dir=run_dir, learning_rate=dk.OneCycle(config.learning_rate))


def alignment(model: keras.Model, sources: Sequence[str], targets: Sequence[str]) -> float:
    """Return the share of target letters whose largest weight is that of the source letter they repeat, in percent."""
    is_aligned = []
    for attention in model.attention_maps(sources, targets):
        weights = attention.weights[:-1]  # without the end of the target
        is_aligned += list(weights.argmax(axis=1) == np.arange(len(weights))[::-1])
    return 100 * float(np.mean(is_aligned))


def draw(config: Config, results: Sequence[Result]) -> Mapping[str, Figure]:
    """Draw the attention of the first network, with generated characters as rows and source characters as columns."""
    sources = EXAMPLES[config.variant]
    _, maps = results[0].model.translate(sources, num_beams=1, return_attention=True)
    return {
        f'Attention weights for "{source}", first repeat': dk.visualize.attention(
            attention.weights, source=attention.source, target=attention.target
        )
        for source, attention in zip(sources, maps, strict=True)
    }


def draw_curves(config: Config, results: Sequence[Result]) -> Mapping[str, Figure]:
    """Draw the validation accuracy of both networks over the epochs."""
    return draw_accuracy(results, COLORS)


RECIPE = Recipe(
    name="dates",
    paper=PAPER,
    related=(papers.SUTSKEVER_2014, papers.LUONG_2015),
    config=Config,
    train=train,
    definition=definition,
    input_shape=(),
    metrics=METRICS,
    claims=CLAIMS,
    deviations=DEVIATIONS,
    draw=draw,
    draw_curves=draw_curves,
    annotated=(converter, alignment),
    exercises=(
        "Run `--num-pairs 1000 --epochs 40`: how many examples does the network without attention need?",
        "Convert a date in a format that the model has not seen, such as `1979, May 3`: which characters does it "
        "attend to?",
    ),
)

if __name__ == "__main__":
    raise SystemExit(main(RECIPE))
