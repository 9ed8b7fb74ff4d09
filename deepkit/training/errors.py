"""Errors of training and export."""

from __future__ import annotations

from pathlib import Path

from deepkit.utils.errors import StructuredError


class RunDirError(StructuredError, OSError):
    """A run directory that cannot be used: not writable, in use, damaged, or of another run.

    Args:
        problem: The directory, and the reason why it cannot be used.
        path: The part concerned; empty if it is the whole directory.
        code: The code concerned; empty if there is none.
        hint: How to continue, as an imperative.

    Examples:
        >>> import deepkit as dk
        >>> dk.load_run("runs/first")
        Traceback (most recent call last):
            ...
        deepkit.training.errors.RunDirError: run_dir: runs/first cannot be loaded: there is no such directory
          hint: pass the run_dir of a call of dk.fit
    """


class CheckpointError(StructuredError, OSError):
    """A checkpoint that cannot be restored: truncated, damaged, or of another model.

    Args:
        problem: The checkpoint, and the reason why it cannot be restored.
        path: The part concerned; empty if it is the whole checkpoint.
        code: The code concerned; empty if there is none.
        hint: How to continue, as an imperative.

    Examples:
        >>> import pathlib, numpy as np, deepkit as dk
        >>> net, data = dk.Classifier(2), (np.eye(4, dtype="float32"), [0, 1, 0, 1])
        >>> run = dk.fit(net, data, epochs=1, run_dir="run", verbose=0)
        >>> _ = pathlib.Path("run/checkpoint.zip").write_bytes(b"damaged")
        >>> dk.fit(net, data, epochs=2, run_dir="run", verbose=0)
        Traceback (most recent call last):
            ...
        deepkit.training.errors.CheckpointError: run/checkpoint.zip is not a complete checkpoint (7 bytes): ...
          hint: ...
    """


class DivergedError(StructuredError, ValueError):
    """The loss or a weight became NaN or infinite; the model was restored to its last finite state.

    Args:
        epoch: Number of the epoch, counted from 1.
        step: Number of the batch within the epoch, counted from 1. With several steps per execution, or a GPU that
            runs ahead, it is the batch at which the value was detected.
        loss: The loss.
        checkpoint: The checkpoint that holds the last finite state, if a `run_dir` was passed.
        weight: Path of a weight that is NaN or infinite although the loss is finite: an activation such as ReLU can
            turn NaN into 0.
        cause: The error of the model's `check_data`, if the data is the reason.

    Examples:
        >>> import numpy as np, deepkit as dk
        >>> x, y = np.full((4, 2), 1e30, "float32"), np.zeros(4)  # the squares overflow
        >>> dk.fit(dk.Regressor(1), x, y, verbose=0)
        Traceback (most recent call last):
            ...
        deepkit.training.errors.DivergedError: the loss became inf in epoch 1, step 1; the model is back at ...
          hint: use a smaller learning rate, set clipnorm=1.0 on the optimizer, or look for NaN in the data
    """

    def __init__(
        self,
        epoch: int,
        step: int,
        loss: float,
        checkpoint: Path | None = None,
        weight: str = "",
        cause: Exception | None = None,
    ) -> None:
        self.epoch, self.step, self.loss, self.checkpoint, self.weight = epoch, step, loss, checkpoint, weight
        value = f"the weight {weight} became NaN or infinite" if weight else f"the loss became {loss}"
        problem = f"{value} in epoch {epoch}, step {step}; {restored_state(epoch, checkpoint)}"
        hint = "use a smaller learning rate, set clipnorm=1.0 on the optimizer, or look for NaN in the data"
        if cause is not None:
            reason, _, cause_hint = str(cause).partition("\n  hint: ")
            problem, hint = f"{problem}\n{reason}", cause_hint or hint
        super().__init__(problem, hint=hint + _new_run_dir(checkpoint))


class TokenIdError(StructuredError, ValueError):
    """An embedding received a token id outside its range; the model was restored to its last good state.

    Args:
        layer: Name of the embedding layer.
        token_id: The token id.
        input_dim: Number of rows of the embedding: the allowed ids are 0 to `input_dim - 1`.
        epoch: Number of the epoch, counted from 1.
        checkpoint: The checkpoint that holds the last good state, if a `run_dir` was passed.

    Examples:
        >>> import numpy as np, deepkit as dk
        >>> from keras import layers
        >>> net = dk.Sequential([layers.Embedding(5, 2), dk.Classifier(2, pool="avg")])
        >>> dk.fit(net, np.full((4, 3), 7), [0, 1, 0, 1], verbose=0)
        Traceback (most recent call last):
            ...
        deepkit.training.errors.TokenIdError: the embedding 'embedding' received the token id 7, ...
          hint: set input_dim=8 or more in that layer, or use smaller token ids in the data
    """

    def __init__(self, layer: str, token_id: int, input_dim: int, epoch: int, checkpoint: Path | None = None) -> None:
        self.layer, self.token_id, self.input_dim = layer, token_id, input_dim
        self.epoch, self.checkpoint = epoch, checkpoint
        hint = "use token ids from 0 in the data"
        if token_id >= input_dim:
            hint = f"set input_dim={token_id + 1} or more in that layer, or use smaller token ids in the data"
        super().__init__(
            f"the embedding {layer!r} received the token id {token_id}, but with input_dim={input_dim} it accepts "
            f"0 to {input_dim - 1}; in epoch {epoch}, {restored_state(epoch, checkpoint)}",
            hint=hint + _new_run_dir(checkpoint),
        )


class LabelError(StructuredError, ValueError):
    """Labels that the head of a definition, or the loss, cannot be trained on.

    `fit` raises it before the first step, except for values in a `tf.data.Dataset`: they are checked batch by batch,
    and the model is then restored to its last good state.

    Args:
        problem: The received labels and the expected ones.
        path: `"data"` or `"validation_data"`, with the name of the output if there are several.
        code: The head, or the code that makes it.
        hint: How to fix the labels or the definition, as an imperative.

    Examples:
        >>> import numpy as np, deepkit as dk
        >>> dk.fit(dk.Classifier(2), np.zeros((4, 3)), [0, 1, 2, 1], verbose=0)
        Traceback (most recent call last):
            ...
        deepkit.training.errors.LabelError: labels: expected class indices from 0 to 1 for dk.Classifier(2), ...
          at    data
          hint: use dk.Classifier(3)
    """

    def during_training(self, epoch: int, checkpoint: Path | None = None) -> LabelError:
        """Return this error with the state to which the model was restored.

        Args:
            epoch: Number of the epoch, counted from 1.
            checkpoint: The checkpoint that holds the last good state, if a `run_dir` was passed.
        """
        problem = f"{self.problem}; in epoch {epoch}, {restored_state(epoch, checkpoint)}"
        return LabelError(problem, path=self.path, code=self.code, hint=self.hint + _new_run_dir(checkpoint))


def restored_state(epoch: int, checkpoint: Path | None) -> str:
    """Return a clause that names the state to which a model was restored."""
    state = f"the end of epoch {epoch - 1}" if epoch > 1 else "the start of training"
    saved = f", saved in {checkpoint}" if checkpoint else ""
    return f"the model is back at {state}{saved}"


def _new_run_dir(checkpoint: Path | None) -> str:
    return "; a changed setting needs a new run_dir" if checkpoint else ""
