"""Gibbs sampling and the contrastive divergence gradient of a restricted Boltzmann machine, in float32."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import keras
from keras import ops

from deepkit.utils.replicas import split_across_replicas

if TYPE_CHECKING:
    from deepkit.utils.types import Tensor


@dataclass(frozen=True, eq=False)
class Machine:
    """The weights of a restricted Boltzmann machine, and the operations of its training step.

    Args:
        kernel: Weights `(visible, hidden)`.
        hidden_bias: Biases of the hidden units.
        visible_bias: Biases of the visible units.
        is_gaussian: Whether the visible units are Gaussian with variance 1, and not Bernoulli.
        has_gaussian_hidden: Whether the hidden units are Gaussian with variance 1, and not Bernoulli.
    """

    kernel: keras.Variable
    hidden_bias: keras.Variable
    visible_bias: keras.Variable
    is_gaussian: bool = False
    has_gaussian_hidden: bool = False

    def hidden(self, visible: Tensor) -> Tensor:
        """Return the means of the hidden units for visible states `(batch, visible)`: p(h = 1 | v) if Bernoulli."""
        inputs = ops.matmul(visible, self.kernel) + self.hidden_bias
        return inputs if self.has_gaussian_hidden else ops.sigmoid(inputs)

    def visible_mean(self, hidden: Tensor) -> Tensor:
        """Return the means of the visible units for hidden states `(batch, hidden)`."""
        inputs = ops.matmul(hidden, ops.transpose(self.kernel)) + self.visible_bias
        return inputs if self.is_gaussian else ops.sigmoid(inputs)

    def draw_visible(self, means: Tensor, seed: keras.random.SeedGenerator) -> Tensor:
        """Draw visible units with these means."""
        return gaussian(means, seed) if self.is_gaussian else bernoulli(means, seed)

    def draw_hidden(self, means: Tensor, seed: keras.random.SeedGenerator) -> Tensor:
        """Draw hidden units with these means."""
        return gaussian(means, seed) if self.has_gaussian_hidden else bernoulli(means, seed)

    def run_chains(
        self, visible: Tensor, hidden: Tensor, num_steps: int, seed: keras.random.SeedGenerator
    ) -> tuple[Tensor, Tensor]:
        """Return the visible states after Gibbs steps, and the means of the hidden units for these states.

        Args:
            visible: First states `(chains, visible)`.
            hidden: Means of the hidden units for the first states.
            num_steps: Number of steps.
            seed: Generator of the seeds.
        """

        def step(_: Tensor, state: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
            samples = self.draw_visible(self.visible_mean(self.draw_hidden(state[1], seed)), seed)
            return samples, self.hidden(samples)

        state = (ops.convert_to_tensor(visible), hidden)
        return step(visible, state) if num_steps == 1 else ops.fori_loop(0, num_steps, step, state)

    def free_energy(self, visible: Tensor) -> Tensor:
        """Return the free energy of visible states."""
        inputs = ops.matmul(visible, self.kernel) + self.hidden_bias
        terms = 0.5 * ops.square(inputs) if self.has_gaussian_hidden else ops.softplus(inputs)
        hidden_terms = ops.sum(terms, axis=-1)
        if self.is_gaussian:
            return 0.5 * ops.sum(ops.square(visible - self.visible_bias), axis=-1) - hidden_terms
        return -ops.matmul(visible, self.visible_bias[:, None])[:, 0] - hidden_terms

    def apply_gradients(
        self,
        optimizer: keras.optimizers.Optimizer,
        data: tuple[Tensor, Tensor],
        samples: tuple[Tensor, Tensor],
        factor: Tensor | float = 1.0,
    ) -> None:
        """Update the trainable weights with the contrastive divergence gradient.

        It is the mean of v E[h | v] over the samples minus the mean over the data, of a loss to minimize.

        Args:
            optimizer: The optimizer.
            data: Visible states of the data, and the means of the hidden units for them.
            samples: Visible states of the samples, and the means of the hidden units for them.
            factor: Factor of the gradient.
        """
        variables = (self.kernel, self.hidden_bias, self.visible_bias)
        pairs = zip(_statistics(*samples), _statistics(*data), variables, strict=True)
        optimizer.apply_gradients(
            [
                (optimizer.scale_loss(factor * (minus - plus)), variable)
                for minus, plus, variable in pairs
                if variable.trainable
            ]
        )


def bernoulli(probabilities: Tensor, seed: keras.random.SeedGenerator) -> Tensor:
    """Draw 0 or 1 for each probability; several devices split the draws of one."""
    units = probabilities.shape[-1]
    uniform = split_across_replicas(
        lambda num_rows: keras.random.uniform((num_rows, units), dtype="float32", seed=seed),
        ops.shape(probabilities)[0],
    )
    return ops.cast(uniform < probabilities, "float32")


def gaussian(means: Tensor, seed: keras.random.SeedGenerator) -> Tensor:
    """Draw a normal number with variance 1 around each mean; several devices split the draws of one."""
    units = means.shape[-1]
    return means + split_across_replicas(
        lambda num_rows: keras.random.normal((num_rows, units), dtype="float32", seed=seed),
        ops.shape(means)[0],
    )


def _statistics(visible: Tensor, hidden: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the means of v E[h | v], E[h | v] and v over a batch: the gradients of -E."""
    count = ops.cast(ops.shape(visible)[0], "float32")
    products = ops.matmul(ops.transpose(visible), hidden) / count
    return products, ops.mean(hidden, axis=0), ops.mean(visible, axis=0)
