"""The benchmarks: both sides, the target, and the author's commentary on a missed target."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmarks.pairs import Target
from deepkit.utils.errors import message


@dataclass(frozen=True)
class Benchmark:
    """One ratio of two measurements: left over right.

    Args:
        name: Name on the command line and in the results.
        left: Description of the left side.
        right: Description of the right side, the reference.
        sides: Functions of both sides as `"module:function"`; each returns a `worker.Side`.
        unit: Unit of both measurements.
        group: Heading on the page.
        target: Target of the ratio; None for a ratio that is only recorded.
        pairs: Default number of pairs; larger for a narrow target.
        separate_processes: Whether each side runs in its own process, because one would affect the other.
        tests_plan: Whether `dk.plan()` chooses between left and right; the target follows from the fact `"chosen"`.
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
    tests_plan: bool = False
    note: str = ""
    commentary: str = ""

    def target_for(self, facts: Mapping[str, str]) -> Target | None:
        """Return the target, which may depend on the choice of the plan on this machine."""
        if not self.tests_plan:
            return self.target
        reason = f"dk.plan() chose {facts['chosen']}"
        if facts["chosen"] == self.left:
            return Target(high=1.0, reason=reason)
        return Target(low=1.0, reason=reason)


EQUAL = Target(low=0.95, high=1.05)
NOT_SLOWER = Target(high=1.05)
DECODING = "Decoding"
NOISE, STEPS, EPOCHS = "Noise floor", "Training steps", "Epochs"
PRECISION, STARTUP, IMAGES, FOLDERS = "Precision", "Building and starting", "Augmentation", "Images from folders"
INTRODUCTIONS = {  # what a group measures, in the order of the page
    NOISE: "A net compared with a second copy of itself. Both are equally fast, so the spread of this ratio is the "
    "precision of the method: the gray band in every chart.",
    STEPS: "A training step of a model that deepkit built, compared with the same model written by hand in Keras. "
    "deepkit adds Keras layers and nothing else, so both should take the same time.",
    EPOCHS: "An epoch of LeNet-5 in memory: `dk.fit` compared with `model.fit` of Keras and with PyTorch, and `dk.fit` "
    "with and without its checks of the labels.",
    DECODING: "Sentences that a translation model decodes in a second. `translate` decodes in one compiled loop; the "
    "examples of Keras call `predict` for every token.",
    PRECISION: "A training step of ResNet-20 in 16 and in 32 bits, on a CPU with instructions for 16 bits.",
    STARTUP: "The time to build deep networks, compared with a loop that adds the same layers by hand, and the time to "
    "import deepkit.",
    IMAGES: "Images in a second: deepkit's augmentations compared with the layers of Keras, and whole pipelines "
    "compared with the training that they feed. A pipeline that is faster than its training does not slow it down.",
    FOLDERS: "Images that are read from a folder in a second, compared with Keras's `image_dataset_from_directory`.",
}
HEADINGS = tuple(INTRODUCTIONS)


def _step(net: str, title: str, note: str) -> Benchmark:
    sides = (f"benchmarks.training:{net}", f"benchmarks.training:{net}_handwritten")
    left, right = f"{title}, built by deepkit", "the same model, hand-written"
    return Benchmark(f"{net}-step", left, right, sides, "ms/step", STEPS, EQUAL, pairs=25, note=note)


def _custom_step(model: str, title: str, note: str) -> Benchmark:
    sides = (f"benchmarks.custom_steps:{model}", f"benchmarks.custom_steps:{model}_handwritten")
    left, right = f"{title}, built by deepkit", "the same model, hand-written"
    return Benchmark(f"{model}-step", left, right, sides, "ms/step", STEPS, NOT_SLOWER, pairs=25, note=note)


def _augmentation(name: str, left: str, right: str) -> Benchmark:
    sides = (f"benchmarks.augmentation:{name}", f"benchmarks.augmentation:{name}_keras")
    return Benchmark(f"augment-{name}", left, right, sides, "images/s", IMAGES)


BENCHMARKS = (
    Benchmark(
        name="noise-floor",
        left="ResNet-20, hand-written",
        right="a second copy of the same net",
        sides=("benchmarks.training:resnet20_handwritten", "benchmarks.training:resnet20_handwritten"),
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
    Benchmark(
        name="lenet-keras",
        left="`dk.fit`",
        right="`model.fit` with Keras's defaults",
        sides=("benchmarks.training:lenet_deepkit", "benchmarks.training:lenet_keras"),
        unit="s/epoch",
        group=EPOCHS,
        target=Target(high=0.80),
        separate_processes=True,
        note="LeNet-5 (61,706 weights) on 60,000 images of 28x28, batches of 128, Adam, with accuracy and "
        "shuffling, no progress bar. The first epoch, with tracing and compiling, is not measured. Keras's defaults "
        "include XLA.",
    ),
    Benchmark(
        name="lenet-keras-plain",
        left="`dk.fit`",
        right="`model.fit`, compiled with `jit_compile=False`",
        sides=("benchmarks.training:lenet_deepkit", "benchmarks.training:lenet_keras_plain"),
        unit="s/epoch",
        group=EPOCHS,
        separate_processes=True,
        note="The same without XLA: the remaining differences are the input pipeline and the steps per execution.",
    ),
    Benchmark(
        name="lenet-torch",
        left="`dk.fit`",
        right="eager PyTorch",
        sides=("benchmarks.training:lenet_deepkit", "benchmarks.training:lenet_torch"),
        unit="s/epoch",
        group=EPOCHS,
        target=Target(high=0.85),
        separate_processes=True,
        note="The same net, optimizer, batches and threads; PyTorch's tensors are in memory and are indexed by a new "
        "permutation in each epoch, without a `DataLoader`, which would be slower. `make bench` installs PyTorch; its "
        "build without CUDA is sufficient. Its threads use busy waiting: on a machine with other work PyTorch is many "
        "times slower.",
        commentary="Nearly all of an epoch is spent in the convolutions, for which both use the kernels of oneDNN. An "
        "epoch of 469 = 7 x 67 steps allows 7 steps per execution instead of 16; larger numbers did not close the gap. "
        "The next attempt would be fewer and larger operations in the optimizer's update.",
    ),
    Benchmark(
        name="lenet-checks",
        left="`dk.fit` with its checks of every batch",
        right="the same without checks",
        sides=("benchmarks.training:lenet_checked", "benchmarks.training:lenet_unchecked"),
        unit="s/epoch",
        group=EPOCHS,
        target=Target(high=1.02),
        separate_processes=True,
        note="LeNet-5 as above, on a `tf.data.Dataset`, whose labels are checked in every batch; the labels of arrays "
        "are checked once, before the first step.",
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
        commentary="With this many sentences per call the layers take most of the time on both sides. `translate` "
        "projects the encoder outputs for the attention at each step, as the loop does. The next attempt would be to "
        "project them once per sentence.",
    ),
    Benchmark(
        name="bfloat16-step",
        left="mixed_bfloat16",
        right="float32",
        sides=("benchmarks.training:bfloat16", "benchmarks.training:resnet20"),
        unit="ms/step",
        group=PRECISION,
        tests_plan=True,
        note="ResNet-20 as above, on a CPU with bfloat16 instructions. The target is met if `dk.plan()` without "
        "arguments chose the faster precision on this machine.",
        commentary="Without arguments the plan keeps float32 on every CPU: a small net such as LeNet-5 gains nothing "
        "from bfloat16. `dk.autotune` times both on the model and the data.",
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
        sides=("benchmarks.augmentation:lenet_pipeline", "benchmarks.training:lenet_throughput"),
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
        sides=("benchmarks.augmentation:cifar_pipeline", "benchmarks.training:resnet20_throughput"),
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
