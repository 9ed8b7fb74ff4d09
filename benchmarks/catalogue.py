"""What is measured, against which target, and what its author says to a miss."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmarks.pairs import Target


@dataclass(frozen=True)
class Benchmark:
    """One ratio: left over right.

    Args:
        name: What it is called on the command line and in the results.
        left: What is timed, in words.
        right: What it is set beside.
        sides: Where both are, as `"module:function"`; each returns a `worker.Side`.
        unit: Of both figures.
        group: Heading on the page.
        target: Where the ratio should lie; None where it is recorded only.
        pairs: How many, unless the command says otherwise: more where the target is narrow.
        apart: Whether the sides run in processes of their own, because one would change the other.
        chooses: Whether `dk.plan()` chose between left and right: the target follows from the fact `"chosen"`.
        note: What exactly is measured.
        reason: What the author says where the target is missed. Commentary: nothing checks it.
    """

    name: str
    left: str
    right: str
    sides: tuple[str, str]
    unit: str
    group: str
    target: Target | None = None
    pairs: int = 11
    apart: bool = False
    chooses: bool = False
    note: str = ""
    reason: str = ""

    def target_for(self, facts: Mapping[str, str]) -> Target | None:
        """Return the target, which may follow from what the sides found."""
        if not self.chooses:
            return self.target
        because = f"dk.plan() chose {facts['chosen']}"
        return Target(high=1.0, because=because) if facts["chosen"] == self.left else Target(low=1.0, because=because)


SAME = Target(low=0.95, high=1.05)
NO_SLOWER = Target(high=1.05)
DECODING = "Decoding"
FLOOR, STEPS, EPOCHS = "The noise floor", "Training steps", "Whole epochs"
PRECISION, WAITING, IMAGES = "Precision", "Building and starting", "Augmentation"
HEADINGS = (FLOOR, STEPS, EPOCHS, DECODING, PRECISION, WAITING, IMAGES)


def _step(net: str, title: str, note: str) -> Benchmark:
    sides = (f"benchmarks.training:{net}", f"benchmarks.training:{net}_by_hand")
    left, right = f"{title}, built by deepkit", "the same, hand-written"
    return Benchmark(f"{net}-step", left, right, sides, "ms a step", STEPS, SAME, pairs=25, note=note)


def _own_step(model: str, title: str, note: str) -> Benchmark:
    sides = (f"benchmarks.own_steps:{model}", f"benchmarks.own_steps:{model}_by_hand")
    left, right = f"{title}, built by deepkit", "the same, hand-written"
    return Benchmark(f"{model}-step", left, right, sides, "ms a step", STEPS, NO_SLOWER, pairs=25, note=note)


def _augmentation(name: str, left: str, right: str) -> Benchmark:
    sides = (f"benchmarks.augmentation:{name}", f"benchmarks.augmentation:{name}_keras")
    return Benchmark(f"augment-{name}", left, right, sides, "images/s", IMAGES)


BENCHMARKS = (
    Benchmark(
        name="noise-floor",
        left="ResNet-20, hand-written",
        right="itself, made a second time",
        sides=("benchmarks.training:resnet20_by_hand", "benchmarks.training:resnet20_by_hand"),
        unit="ms a step",
        group=FLOOR,
        note="Two copies of one net in one process. No other figure can be trusted to less than this spread.",
    ),
    _step("resnet20", "ResNet-20", "On 32x32x3 images, batches of 128, Adam, no XLA, `train_on_batch`."),
    _step("mlp", "MLP", "784-512-256-128-10 with dropout, batches of 128, Adam, no XLA, `train_on_batch`."),
    _step(
        "densenet",
        "small DenseNet",
        "Three stages of four layers, growth rate 12, on 32x32x3 images, trained alike.",
    ),
    _own_step(
        "bilstm",
        "two bidirectional LSTMs",
        "20,000 words of 128 numbers, 64 units in each direction, 32 texts of 200 words, Adam, no XLA.",
    ),
    _own_step(
        "autoencoder",
        "denoising autoencoder",
        "784-1000-784 with a quarter of the inputs set to 0, batches of 128, Adam, no XLA.",
    ),
    _own_step(
        "vae",
        "variational autoencoder",
        "784-500-20-500-784, Bernoulli, batches of 128, Adam, no XLA; by hand as in Keras's examples.",
    ),
    _own_step(
        "gan",
        "GAN",
        "100-256-256-784 against 784-256-256-1, batches of 128, Adam, no XLA; by hand as in Keras's examples.",
    ),
    Benchmark(
        name="lenet-keras",
        left="`dk.fit`",
        right="`model.fit` with Keras's defaults",
        sides=("benchmarks.training:lenet_deepkit", "benchmarks.training:lenet_keras"),
        unit="s an epoch",
        group=EPOCHS,
        target=Target(high=0.80),
        apart=True,
        note="LeNet-5 (61,706 weights) on 60,000 images of 28x28, batches of 128, Adam, accuracy kept, shuffled, no "
        "progress bar. The first epoch, with tracing and compiling, does not count. Keras's defaults include XLA.",
    ),
    Benchmark(
        name="lenet-keras-plain",
        left="`dk.fit`",
        right="`model.fit`, compiled with `jit_compile=False`",
        sides=("benchmarks.training:lenet_deepkit", "benchmarks.training:lenet_keras_plain"),
        unit="s an epoch",
        group=EPOCHS,
        apart=True,
        note="The same without XLA: what is left is the way of the data and the number of steps in one call.",
    ),
    Benchmark(
        name="lenet-torch",
        left="`dk.fit`",
        right="eager PyTorch",
        sides=("benchmarks.training:lenet_deepkit", "benchmarks.training:lenet_torch"),
        unit="s an epoch",
        group=EPOCHS,
        target=Target(high=0.85),
        apart=True,
        note="The same net, optimiser, batches and threads; PyTorch's tensors lie in memory and are indexed by a new "
        "permutation each epoch, without a `DataLoader`, which would be slower. `make bench` installs it; "
        "PyTorch's build without CUDA is enough. "
        "Its threads wait for one another awake: on a machine that is busy with other work it is many times slower.",
        reason="Nearly all of an epoch is the convolution step itself, which both leave to oneDNN's kernels. 469 "
        "steps, being 7 x 67, allow 7 steps in a call instead of 16; more of them were tried by hand and did not close "
        "the gap. Fewer and larger operations for the optimiser's update would be next.",
    ),
    Benchmark(
        name="decode",
        left="`translate`, 1,000 sentences",
        right="a loop of `predict`, sentence by sentence",
        sides=("benchmarks.decoding:translate", "benchmarks.decoding:one_by_one"),
        unit="sentences/s",
        group=DECODING,
        target=Target(low=5.0),
        apart=True,
        note="GRUs of 192 units with attention over 5,000 words, sentences of 12 words to 20 tokens, the most probable "
        "one each time. The loop is that of Keras's examples, a `predict` a token, and is timed on two sentences.",
    ),
    Benchmark(
        name="decode-batches",
        left="`translate`, 1,000 sentences",
        right="a loop of `predict` over all of them",
        sides=("benchmarks.decoding:translate", "benchmarks.decoding:in_batches"),
        unit="sentences/s",
        group=DECODING,
        target=Target(low=5.0),
        apart=True,
        note="The same, all sentences in each `predict`.",
        reason="With so many sentences in a call the layers take most of the time on both sides. `translate` projects "
        "the memory for the attention anew at each step, as the loop does; to do it once a sentence would be next.",
    ),
    Benchmark(
        name="bfloat16-step",
        left="mixed_bfloat16",
        right="float32",
        sides=("benchmarks.training:bfloat16", "benchmarks.training:resnet20"),
        unit="ms a step",
        group=PRECISION,
        chooses=True,
        note="ResNet-20 as above, on a processor that has bfloat16 instructions. Met means that `dk.plan()` left to "
        "itself chose the faster one on this machine.",
        reason="Left to itself the plan keeps float32 on every CPU: a small net such as LeNet-5 gains nothing from "
        "bfloat16. `dk.plan(measure=True)` times both on the model at hand.",
    ),
    Benchmark(
        name="deep-build",
        left="`definition.build`",
        right="the same, hand-written",
        sides=("benchmarks.building:deep", "benchmarks.building:deep_by_hand"),
        unit="s",
        group=WAITING,
        target=Target(high=1.10),
        note="450 residual blocks of two convolutions, 3,156 layers: `dk.Repeat(dk.Residual([...]), num_repeats=450)`, and a "
        "loop by hand with Python's recursion limit raised. Memory is cleared before each, untimed.",
    ),
    Benchmark(
        name="resnet110-build",
        left="`definition.build`",
        right="the same, hand-written",
        sides=("benchmarks.building:resnet110", "benchmarks.building:resnet110_by_hand"),
        unit="s",
        group=WAITING,
        target=Target(high=1.10),
        note="ResNet-110 for CIFAR of `recipes.vision.resnet`, 54 residual units with shortcuts of option A.",
    ),
    Benchmark(
        name="import-deepkit",
        left="`import deepkit`",
        right="`import keras`",
        sides=("benchmarks.building:import_deepkit", "benchmarks.building:import_keras"),
        unit="s",
        group=WAITING,
        note="Whole processes, from start to end.",
    ),
    Benchmark(
        name="command-help",
        left="`deepkit --help`",
        right="`import keras`",
        sides=("benchmarks.building:command_help", "benchmarks.building:import_keras"),
        unit="s",
        group=WAITING,
        note="Whole processes, from start to end.",
    ),
    _augmentation("flip", "`Flip`", "`RandomFlip`"),
    _augmentation("shift", "`Shift` by whole pixels", "`RandomTranslation`"),
    _augmentation("rotation", "`Affine(rotation=10)`", "`RandomRotation`"),
    _augmentation("affine", "`Affine`, all four at once", "rotation, zoom, shear and translation layers"),
    _augmentation("elastic", "`Elastic`", "`RandomElasticTransform`"),
    Benchmark(
        name="pipeline-lenet",
        left="affine and elastic pipeline",
        right="what LeNet-5 trains on",
        sides=("benchmarks.augmentation:lenet_pipeline", "benchmarks.training:lenet_consumed"),
        unit="images/s",
        group=IMAGES,
        target=Target(low=1.0),
        apart=True,
        note="The pipeline of the LeNet-5 recipe with its distortions, beside `dk.fit` without any. Each has the whole "
        "machine while it is measured; in training they share it, so a ratio of r adds about 1/r to a step on a CPU.",
    ),
    Benchmark(
        name="pipeline-resnet20",
        left="`PadCrop(4)` and `Flip` pipeline",
        right="what ResNet-20 trains on",
        sides=("benchmarks.augmentation:cifar_pipeline", "benchmarks.training:resnet20_consumed"),
        unit="images/s",
        group=IMAGES,
        target=Target(low=1.0),
        apart=True,
        note="32x32x3 images with the usual augmentation of CIFAR, measured in the same way.",
    ),
)


class UnknownBenchmark(ValueError):
    """A name that no benchmark has."""


def named(names: Sequence[str], benchmarks: Sequence[Benchmark] = BENCHMARKS) -> Sequence[Benchmark]:
    """Return the benchmarks of these names, in the order of the page; all of them without names.

    Raises:
        UnknownBenchmark: A name is none of theirs.
    """
    known = [benchmark.name for benchmark in benchmarks]
    for name in names:
        if name not in known:
            raise UnknownBenchmark(f"no benchmark is called {name!r}\n  hint: one of {', '.join(known)}")
    return [benchmark for benchmark in benchmarks if not names or benchmark.name in names]
