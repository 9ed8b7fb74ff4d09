"""The benchmarks: both sides, the target, and the author's commentary on a missed target."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from benchmarks.pairs import Target
from deepkit.training.benchmark import MARGIN
from deepkit.utils.errors import message


@dataclass(frozen=True)
class Benchmark:
    """One ratio of two measurements: left over right.

    Args:
        name: Name on the command line and in the results.
        left: Description of the left side.
        right: Description of the right side, the reference.
        sides: Paths of the functions of both sides, as `worker.Worker` accepts them.
        unit: Unit of both measurements.
        group: Heading on the page.
        target: Target of the ratio; None for a ratio that is only recorded.
        pairs: Default number of pairs; larger for a narrow target.
        separate_processes: Whether each side runs in its own process, because one would affect the other.
        tests_choice: Whether `dk.autotune` chooses between left and right; the target follows from the fact `"chosen"`.
        note: Details of the measurement.
        commentary: Remark of the author on a missed target; no test verifies it.
    """

    name: str
    left: str
    right: str
    sides: tuple[str, str]
    unit: str
    group: str
    target: Target | None = None
    pairs: int = 11
    separate_processes: bool = False
    tests_choice: bool = False
    note: str = ""
    commentary: str = ""

    def target_for(self, facts: Mapping[str, str]) -> Target | None:
        """Return the target, which may depend on the choice of `dk.autotune` on this machine."""
        if not self.tests_choice:
            return self.target
        reason = f"dk.autotune chose {facts['chosen']}"
        if self.left.endswith(facts["chosen"]):
            return Target(high=1.0, reason=reason)
        return Target(low=1 - MARGIN, reason=reason)


EQUAL = Target(low=0.95, high=1.05)
NOT_SLOWER = Target(high=1.05)
RIGHT_SIDES = {
    "keras": "`model.fit` with Keras's defaults",
    "keras-plain": "`model.fit`, compiled with `jit_compile=False`",
    "torch": "eager PyTorch",
}
DECODING = "Decoding"
NOISE, STEPS, EPOCHS = "Noise floor", "Training steps", "Epochs"
RECIPES, ARITHMETIC = "Networks of the recipes", "Share of the machine"
LARGE_MODELS = "Large models"
PRECISION, STARTUP, IMAGES, FOLDERS = "Precision", "Building and starting", "Augmentation", "Images from folders"
RECORDS, MEMORY = "Data beyond memory", "Memory"
INTRODUCTIONS = {  # what a group measures, in the order of the page
    NOISE: "A net compared with a second copy of itself. Both are equally fast, so the spread of this ratio is the "
    "precision of the method: the gray band in every chart.",
    STEPS: "A training step of a model that deepkit built, compared with the same model written by hand in Keras. "
    "deepkit adds Keras layers and nothing else, so both should take the same time.",
    EPOCHS: "Epochs of data in memory: `dk.fit` compared with `model.fit` of Keras and with PyTorch, and `dk.fit` with "
    "and without its checks of the labels.",
    RECIPES: "Epochs of the kinds of network that the recipes train: `dk.fit` compared with `model.fit`.",
    ARITHMETIC: "How much of the machine a training uses: the multiplications in its layers in a second, compared with "
    "those of a product of two large matrices.",
    DECODING: "Sentences that a translation model decodes in a second. `translate` decodes in one compiled loop; the "
    "examples of Keras call `predict` for every token.",
    PRECISION: "A training step in 16 and in 32 bits, on a CPU with instructions for 16 bits. The target is that "
    "`dk.autotune` chooses the faster one.",
    LARGE_MODELS: "The time of the second computation of the activations with `rematerialize=True`.",
    STARTUP: "The time to build deep networks, compared with a loop that adds the same layers by hand, and the time to "
    "import deepkit.",
    IMAGES: "Images in a second: deepkit's augmentations compared with the layers of Keras, and whole pipelines "
    "compared with the training that they feed. A pipeline that is faster than its training does not slow it down.",
    FOLDERS: "Images that are read from a folder in a second, compared with Keras's `image_dataset_from_directory`.",
    RECORDS: "Training on record files, compared with training on the same images in memory.",
    MEMORY: "The memory of a training with `rematerialize=True`, and with a fourth of the batch at a time, compared "
    "with the same network and batch without them; and that of a process that reads 3 GB of records in random order.",
}
HEADINGS = tuple(INTRODUCTIONS)


def _step(net: str, title: str, note: str) -> Benchmark:
    sides = (f"benchmarks.training:deepkit_step:{net}", f"benchmarks.training:handwritten_step:{net}")
    left, right = f"{title}, built by deepkit", "the same model, hand-written"
    return Benchmark(f"{net}-step", left, right, sides, "ms/step", STEPS, EQUAL, pairs=25, note=note)


def _custom_step(model: str, title: str, note: str) -> Benchmark:
    sides = (f"benchmarks.custom_steps:deepkit_side:{model}", f"benchmarks.custom_steps:handwritten_side:{model}")
    left, right = f"{title}, built by deepkit", "the same model, hand-written"
    return Benchmark(f"{model}-step", left, right, sides, "ms/step", STEPS, NOT_SLOWER, pairs=25, note=note)


def _epochs(net: str, title: str, right: str, target: float | None, note: str, commentary: str = "") -> Benchmark:
    return Benchmark(
        name=f"{net}-{right}",
        left=f"`dk.fit`, {title}",
        right=RIGHT_SIDES[right],
        sides=(f"benchmarks.epochs:deepkit_side:{net}", f"benchmarks.epochs:{right.replace('-', '_')}_side:{net}"),
        unit="s/epoch",
        group=EPOCHS,
        target=None if target is None else Target(high=target),
        separate_processes=True,
        note=note,
        commentary=commentary,
    )


def _recipe_epochs(net: str, title: str, note: str) -> Benchmark:
    benchmark = _epochs(net, title, "keras", 1.05, note)
    return replace(benchmark, group=RECIPES)


def _precision(net: str, title: str, note: str) -> Benchmark:
    sides = (f"benchmarks.training:bfloat16:{net}", f"benchmarks.training:deepkit_step:{net}")
    left, right = f"{title}, mixed_bfloat16", f"{title}, float32"
    commentary = (
        "`dk.autotune` replaces the default only if a candidate is faster in all of its seven rounds but one, so that "
        "noise does not choose. On a busy host, a gain below a tenth may not pass."
    )
    return Benchmark(
        f"{net}-bfloat16", left, right, sides, "ms/step", PRECISION, tests_choice=True, note=note, commentary=commentary
    )


def _augmentation(name: str, left: str, right: str) -> Benchmark:
    sides = (f"benchmarks.augmentation:{name}", f"benchmarks.augmentation:{name}_keras")
    return Benchmark(f"augment-{name}", left, right, sides, "images/s", IMAGES)


BENCHMARKS = (
    Benchmark(
        name="noise-floor",
        left="ResNet-20, hand-written",
        right="a second copy of the same net",
        sides=("benchmarks.training:handwritten_step:resnet20",) * 2,
        unit="ms/step",
        group=NOISE,
        note="Two copies of one net in one process. No other ratio is more precise than this spread.",
    ),
    _step("resnet20", "ResNet-20", "On 32x32x3 images, batches of 128, Adam, no XLA, `train_on_batch`."),
    _step("mlp", "MLP", "784-512-256-128-10 with dropout, batches of 128, Adam, no XLA, `train_on_batch`."),
    _step(
        "densenet",
        "small DenseNet",
        "Three stages of four layers, growth rate 12, on 32x32x3 images, with the same batches and optimizer.",
    ),
    _custom_step(
        "bilstm",
        "two bidirectional LSTMs",
        "20,000 words, embeddings of 128 dimensions, 64 units in each direction, 32 texts of 200 words, Adam, no XLA.",
    ),
    _custom_step(
        "transformer",
        "Transformer encoder",
        "Two layers of width 128 with four heads and learned positions, 32 texts of 200 words, Adam, no XLA.",
    ),
    _custom_step(
        "translator",
        "Transformer that translates",
        "Two layers of width 128 in encoder and decoder, 5,000 words, 64 pairs of 16 words, Adam, no XLA; hand-written "
        "with teacher forcing as in the Keras examples.",
    ),
    _custom_step(
        "autoencoder",
        "denoising autoencoder",
        "784-1000-784 with a quarter of the inputs set to 0, batches of 128, Adam, no XLA.",
    ),
    _custom_step(
        "vae",
        "variational autoencoder",
        "784-500-20-500-784, Bernoulli, batches of 128, Adam, no XLA; hand-written as in the Keras examples.",
    ),
    _custom_step(
        "gan",
        "GAN",
        "100-256-256-784 against 784-256-256-1, batches of 128, Adam, no XLA; hand-written as in the Keras examples.",
    ),
    _epochs(
        "lenet",
        "LeNet-5",
        "keras",
        0.70,
        "LeNet-5 (61,706 weights) on 60,000 images of 28x28, batches of 128, Adam, with accuracy and shuffling, no "
        "progress bar. The first epoch, with tracing and compiling, is not measured. Keras's defaults include XLA.",
        commentary="With the loop in the graph an epoch takes 0.92 of the time that it took before, and for the MLP "
        "0.90, measured in turns on the same day. Fused kernels for the update, other numbers of threads and more "
        "steps per execution gained nothing. On a day on which the machine took twice as long for a step, a prototype "
        "of the loop had a ratio of 0.69.",
    ),
    _epochs(
        "lenet",
        "LeNet-5",
        "keras-plain",
        None,
        "The same without XLA: the remaining differences are the input pipeline and the steps per execution.",
    ),
    _epochs(
        "lenet",
        "LeNet-5",
        "torch",
        0.80,
        "The same net, optimizer, batches and threads; PyTorch's tensors are in memory and are indexed by a new "
        "permutation in each epoch, without a `DataLoader`, which would be slower. `make bench` installs PyTorch; its "
        "build without CUDA is sufficient. Its threads use busy waiting: on a machine with other work PyTorch is many "
        "times slower.",
    ),
    _epochs(
        "mlp",
        "MLP",
        "keras",
        0.60,
        "784-512-256-128-10 with dropout, trained as LeNet-5 above.",
        commentary="See LeNet-5.",
    ),
    _epochs("mlp", "MLP", "torch", None, "The same net, trained as LeNet-5 above."),
    _epochs(
        "resnet20",
        "ResNet-20",
        "keras",
        0.85,
        "On 1,280 images of 32x32x3, trained as LeNet-5 above.",
        commentary="A step takes 140 ms, and the loop saves only what lies between the steps. The next attempt would "
        "be to train large networks in bfloat16, which the plan leaves to `dk.autotune`.",
    ),
    _epochs("resnet20", "ResNet-20", "torch", None, "The same net, trained as LeNet-5 above."),
    Benchmark(
        name="lenet-checks",
        left="`dk.fit` with its checks of every batch",
        right="the same without checks",
        sides=("benchmarks.epochs:lenet_checked", "benchmarks.epochs:lenet_unchecked"),
        unit="s/epoch",
        group=EPOCHS,
        target=Target(high=1.02),
        separate_processes=True,
        note="LeNet-5 as above, on a `tf.data.Dataset`, whose labels are checked in every batch; the labels of arrays "
        "are checked once, before the first step.",
        commentary="The checks run in the threads of `tf.data`, which share two cores with the steps. The epoch "
        "with checks takes as long as before the loop in the graph (0.99, in turns on the same day).",
    ),
    _recipe_epochs("highway", "highway network of 20 layers", "The recipe `depth`: 12,800 images, batches of 128."),
    _recipe_epochs(
        "bilstm", "two bidirectional LSTMs", "The recipe `sentiment`: 512 texts of 200 words, batches of 32."
    ),
    _recipe_epochs(
        "autoencoder", "denoising autoencoder", "The recipe `denoising`: 784-1000-784, 19,200 images, batches of 128."
    ),
    _recipe_epochs(
        "vae", "variational autoencoder", "The recipe `vae`: 784-500-20-500-784, 25,600 images, batches of 128."
    ),
    _recipe_epochs("gan", "GAN", "The recipe `gan`: 19,200 images, batches of 128."),
    Benchmark(
        name="dqn-catch",
        left="`dk.learn`, DQN on Catch",
        right="the same loop, hand-written",
        sides=("benchmarks.agents:deepkit_side", "benchmarks.agents:handwritten_side"),
        unit="ms/step",
        group=RECIPES,
        target=NOT_SLOWER,
        separate_processes=True,
        note="A step acts in one environment; every fourth step updates a network of 206,000 weights with "
        "a batch of 32 transitions. `dk.learn` also checks rewards and losses, and counts returns.",
    ),
    Benchmark(
        name="resnet20-arithmetic",
        left="ResNet-20, trained by `dk.fit`",
        right="product of two 2048x2048 matrices",
        sides=("benchmarks.epochs:multiplication_rate:resnet20", "benchmarks.epochs:matrix_rate"),
        unit="billion operations/s",
        group=ARITHMETIC,
        target=Target(low=0.80),
        separate_processes=True,
        note="In float32. Counted are the multiplications and additions of the convolutions and of the classifier, not "
        "those of normalization, pooling and optimizer.",
        commentary="The convolutions have 16 to 64 channels, so their matrices are narrow, and the normalizations, "
        "which are not counted, read and write all activations several times. On another day the share was 0.69.",
    ),
    Benchmark(
        name="decode",
        left="`translate`, 1,000 sentences",
        right="a loop of `predict`, one sentence at a time",
        sides=("benchmarks.decoding:translate", "benchmarks.decoding:one_by_one"),
        unit="sentences/s",
        group=DECODING,
        target=Target(low=5.0),
        separate_processes=True,
        note="GRUs of 192 units with attention, 5,000 words, sentences of 12 words to 20 tokens, greedy decoding. The "
        "loop is that of the Keras examples, with one `predict` per token, and is timed on two sentences.",
    ),
    Benchmark(
        name="decode-batches",
        left="`translate`, 1,000 sentences",
        right="a loop of `predict` over all sentences",
        sides=("benchmarks.decoding:translate", "benchmarks.decoding:in_batches"),
        unit="sentences/s",
        group=DECODING,
        target=Target(low=5.0),
        separate_processes=True,
        note="The same, with all sentences in each `predict`.",
        commentary="Projecting the memory of the attention once per sentence shortened the decoding by an eighth. With "
        "this many sentences per call, the layers take most of the time on both sides.",
    ),
    Benchmark(
        name="generate-length",
        left="`generate`, 400 tokens",
        right="`generate`, 100 tokens",
        sides=("benchmarks.decoding:generate:400", "benchmarks.decoding:generate:100"),
        unit="ms/token",
        group=DECODING,
        target=Target(high=1.5),
        note="A Transformer language model of four layers of width 128 over 100 characters, 16 texts at a time. The "
        "keys and values of earlier tokens are kept, so that the time of a token hardly depends on their number.",
    ),
    Benchmark(
        name="generate-cache",
        left="`generate`, 200 tokens",
        right="a compiled pass over all tokens so far for each token",
        sides=("benchmarks.decoding:generate:200", "benchmarks.decoding:generate_without_cache:200"),
        unit="ms/token",
        group=DECODING,
        target=Target(high=0.5),
        note="The same model.",
    ),
    _precision("resnet20", "ResNet-20", "ResNet-20 as above, on a CPU with bfloat16 instructions."),
    _precision("lenet", "LeNet-5", "LeNet-5 as above, a small network."),
    Benchmark(
        name="remat-memory",
        left="37 convolutions with `rematerialize=True`",
        right="the same network without it",
        sides=("benchmarks.memory:peak:rematerialized", "benchmarks.memory:peak:plain"),
        unit="MB",
        group=MEMORY,
        target=Target(high=0.5),
        pairs=9,
        note="`dk.Repeat` of six times six `dk.ConvBlock(32)` on 32x32x3 images, a batch of 128, Adam. The growth of "
        "the resident memory of a new process from before a step to the peak in it.",
    ),
    Benchmark(
        name="accumulation-memory",
        left="4 batches of 32, accumulated",
        right="batches of 128",
        sides=("benchmarks.memory:peak:accumulated", "benchmarks.memory:peak:plain"),
        unit="MB",
        group=MEMORY,
        target=Target(high=0.5),
        pairs=9,
        note="The same network and the same update, with `dk.plan(gradient_accumulation_steps=4)`.",
    ),
    Benchmark(
        name="remat-step",
        left="37 convolutions with `rematerialize=True`",
        right="the same network without it",
        sides=("benchmarks.memory:step:rematerialized", "benchmarks.memory:step:plain"),
        unit="ms/step",
        group=LARGE_MODELS,
        pairs=9,
        note="The time of a training step of the same network, `train_on_batch`. The second computation of the "
        "activations is about a third of the arithmetic of a step.",
    ),
    Benchmark(
        name="deep-build",
        left="`build` of 450 residual blocks",
        right="the same model, hand-written",
        sides=("benchmarks.building:deep", "benchmarks.building:deep_handwritten"),
        unit="s",
        group=STARTUP,
        target=Target(high=1.10),
        note="450 residual blocks of two convolutions, 3,156 layers: `dk.Repeat(dk.Residual([...]), "
        "num_repeats=450)`, and a hand-written loop with a higher recursion limit. Memory is cleared before each "
        "measurement.",
    ),
    Benchmark(
        name="resnet110-build",
        left="`build` of ResNet-110",
        right="the same model, hand-written",
        sides=("benchmarks.building:resnet110", "benchmarks.building:resnet110_handwritten"),
        unit="s",
        group=STARTUP,
        target=Target(high=1.10),
        note="ResNet-110 for CIFAR of `recipes.vision.resnet`, 54 residual blocks with shortcuts of option A.",
    ),
    Benchmark(
        name="import-deepkit",
        left="`import deepkit`",
        right="`import keras`",
        sides=("benchmarks.building:import_deepkit", "benchmarks.building:import_keras"),
        unit="s",
        group=STARTUP,
        note="Wall time of whole processes.",
    ),
    Benchmark(
        name="command-help",
        left="`deepkit --help`",
        right="`import keras`",
        sides=("benchmarks.building:command_help", "benchmarks.building:import_keras"),
        unit="s",
        group=STARTUP,
        note="Wall time of whole processes.",
    ),
    _augmentation("flip", "`Flip`", "`RandomFlip`"),
    _augmentation("shift", "`Shift` by whole pixels", "`RandomTranslation`"),
    _augmentation("rotation", "`Affine(rotation=10)`", "`RandomRotation`"),
    _augmentation("affine", "`Affine`, all four transformations", "rotation, zoom, shear and translation layers"),
    _augmentation("elastic", "`Elastic`", "`RandomElasticTransform`"),
    Benchmark(
        name="pipeline-lenet",
        left="affine and elastic pipeline",
        right="training of LeNet-5",
        sides=("benchmarks.augmentation:lenet_pipeline", "benchmarks.epochs:throughput:lenet"),
        unit="images/s",
        group=IMAGES,
        target=Target(low=1.0),
        separate_processes=True,
        note="The pipeline of the LeNet-5 recipe with its distortions, compared with `dk.fit` without augmentation. "
        "Each uses the whole machine while it is measured; in training they share it, so a ratio of r adds about 1/r "
        "to the time of a step on a CPU.",
    ),
    Benchmark(
        name="pipeline-resnet20",
        left="`PadCrop(4)` and `Flip` pipeline",
        right="training of ResNet-20",
        sides=("benchmarks.augmentation:cifar_pipeline", "benchmarks.epochs:throughput:resnet20"),
        unit="images/s",
        group=IMAGES,
        target=Target(low=1.0),
        separate_processes=True,
        note="32x32x3 images with the standard augmentation of CIFAR, measured in the same way.",
    ),
    Benchmark(
        name="folder-streamed",
        left="`from_folder`, images that do not fit into memory",
        right="`image_dataset_from_directory`",
        sides=("benchmarks.folders:streamed", "benchmarks.folders:keras_folder"),
        unit="images/s",
        group=FOLDERS,
        target=Target(low=1.0),
        separate_processes=True,
        note="512 JPEG files from 333x500 to 480x640, cropped to the aspect ratio and resized to 224x224, shuffled, in "
        "batches of 128. Both sides decode them in every epoch.",
    ),
    Benchmark(
        name="folder-cached",
        left="`from_folder`",
        right="`image_dataset_from_directory`",
        sides=("benchmarks.folders:cached", "benchmarks.folders:keras_folder"),
        unit="images/s",
        group=FOLDERS,
        target=Target(low=1.0),
        separate_processes=True,
        note="The same from the second epoch on: `from_folder` has decoded the images into memory, as it does with all "
        "images that fit.",
    ),
    Benchmark(
        name="records-resnet20",
        left="ResNet-20 on record files",
        right="the same images in memory",
        sides=("benchmarks.streaming:resnet20_records", "benchmarks.streaming:resnet20_memory"),
        unit="images/s",
        group=RECORDS,
        target=Target(low=0.9),
        separate_processes=True,
        note="`dk.fit` on 1,280 uint8 images of 32x32x3, from `dk.data.from_records` and from `dk.data.from_arrays`.",
    ),
    Benchmark(
        name="records-memory",
        left="growth of a process that reads an epoch",
        right="size of the dataset",
        sides=("benchmarks.streaming:reading_memory", "benchmarks.streaming:dataset_size"),
        unit="GB",
        group=MEMORY,
        target=Target(high=0.33),
        note="The largest resident memory during a shuffled epoch of 976,562 images, in batches of 128, minus that "
        "before the data is opened, in a new process for each measurement. The images are written chunk by chunk.",
    ),
)


class UnknownBenchmark(ValueError):
    """There is no benchmark of this name."""


def select(names: Sequence[str], benchmarks: Sequence[Benchmark] = BENCHMARKS) -> Sequence[Benchmark]:
    """Return the benchmarks of these names, in the order of the page; all of them without names.

    Raises:
        UnknownBenchmark: There is no benchmark of a name.
    """
    choices = [benchmark.name for benchmark in benchmarks]
    for name in names:
        if name not in choices:
            raise UnknownBenchmark(message(f"there is no benchmark {name!r}", hint=f"use one of {', '.join(choices)}"))
    return [benchmark for benchmark in benchmarks if not names or benchmark.name in names]
