r"""Critical points: the end points of a small network, its saddle at zero, and saddles of functions of many variables.

At a critical point the gradient is zero. The eigenvalues of the Hessian, the matrix of second derivatives, are the
curvatures: all positive at a minimum, of both signs at a saddle.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from recipes.basics.update_rules import Momentum

UNITS = 3  # hidden tanh units of the network
NUM_WEIGHTS = 4 * UNITS  # of a unit: two for the inputs, one for the constant input, one to the output


def example_gradients(w: np.ndarray, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the squared errors and gradients of v tanh(W x) for each of several weights and each example.

    Args:
        w: Weights, (starts, weights): W (3, units) in the order of its rows, then v (units).
        x: Inputs with a constant 1, (examples, 3).
        y: Targets, (examples,).

    Returns:
        The losses (starts, examples) and the gradients (starts, examples, weights).
    """
    hidden, output = w[:, : 3 * UNITS].reshape(-1, 3, UNITS), w[:, 3 * UNITS :]
    z = np.tanh(x @ hidden)  # (starts, examples, units)
    error = np.einsum("sek,sk->se", z, output) - y
    delta = 2 * error[..., None] * output[:, None] * (1 - z**2)  # backpropagated to the hidden units
    hidden_gradient = x[None, :, :, None] * delta[:, :, None, :]
    gradients = [hidden_gradient.reshape(*error.shape, -1), 2 * error[..., None] * z]
    return error**2, np.concatenate(gradients, axis=-1)


def train_network(w: np.ndarray, x: np.ndarray, y: np.ndarray, num_steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Train the network from each of several starts on all examples; return the weights and the losses (steps, starts).

    The start w = 0 needs no special case: its gradient is exactly zero.
    """
    rule, losses = Momentum(0.05), []
    for _ in range(num_steps):
        loss, gradients = example_gradients(w, x, y)
        losses.append(loss.mean(1))
        w = rule.step(w, gradients.mean(1))
    return w, np.array(losses)


def curvatures(w: np.ndarray, x: np.ndarray, y: np.ndarray, step: float = 1e-5) -> np.ndarray:
    """Return the eigenvalues of the Hessian of the loss at weights (weights,), by differences of the gradient."""
    shifts = step * np.eye(NUM_WEIGHTS)
    forward, backward = (example_gradients(w + sign * shifts, x, y)[1].mean(1) for sign in (1, -1))
    hessian = (forward - backward) / (2 * step)
    return np.linalg.eigvalsh((hessian + hessian.T) / 2)


@dataclass(frozen=True)
class CriticalPoints:
    """Critical points of a random function.

    Args:
        values: The function at each point.
        negative_shares: The share of negative eigenvalues at each point: 0 at a minimum, 1 at a maximum.
    """

    values: np.ndarray
    negative_shares: np.ndarray


def random_critical_points(
    dimension: int, num_starts: int, rng: np.random.Generator, *, num_waves: int = 200, num_steps: int = 60
) -> CriticalPoints:
    """Find critical points of a smooth random function by Newton's method from random starts.

    The function is a sum of cosine waves with random directions and phases, approximately a Gaussian random field.
    Newton's method goes to a zero of the gradient, whether minimum, saddle or maximum; a start that does not converge
    is left out.
    """
    waves = rng.normal(size=(num_waves, dimension))
    phases = rng.uniform(0, 2 * np.pi, num_waves)
    scale = np.sqrt(2 / num_waves)
    w = rng.uniform(-3, 3, (num_starts, dimension))

    def gradient(w: np.ndarray) -> np.ndarray:
        return np.asarray(-scale * np.sin(w @ waves.T + phases) @ waves)

    def hessian(w: np.ndarray) -> np.ndarray:
        cosines = np.cos(w @ waves.T + phases)  # (starts, waves)
        return np.asarray(-scale * (cosines[:, None, :] * waves.T) @ waves)

    for _ in range(num_steps):
        newton = np.linalg.solve(hessian(w), gradient(w)[..., None])[..., 0]
        length = np.maximum(np.linalg.norm(newton, axis=1, keepdims=True), 1e-12)
        w = w - newton * np.minimum(1, 0.5 / length)  # a long step leaves the region where the Hessian is valid
    w = w[np.linalg.norm(gradient(w), axis=1) < 1e-8]
    values = scale * np.cos(w @ waves.T + phases).sum(1)
    return CriticalPoints(values, np.mean(np.linalg.eigvalsh(hessian(w)) < 0, axis=1))
