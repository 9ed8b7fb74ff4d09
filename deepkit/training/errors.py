"""What can go wrong while training, said in words."""

from __future__ import annotations

from pathlib import Path


class RunDirError(OSError):
    """The run directory cannot be used: not writable, in use, or of another run."""


class CheckpointError(OSError):
    """A checkpoint cannot be read back: truncated, corrupt, or of another model."""


class DivergedError(ValueError):
    """The loss became NaN or infinite; the model was put back to its last good state.

    Args:
        epoch: Number of the epoch, counted from 1.
        step: Number of the batch within it, counted from 1; with several steps per execution or a GPU running
            ahead, the batch at which it was noticed.
        loss: The loss that was seen.
        kept: The checkpoint that holds the last good state, where a `run_dir` was given.
        weight: Path of the weight that is no finite number, where the loss hides it: an activation such as ReLU
            may turn NaN into 0.
        reason: What the model says of the data, where that is why, and how to mend it.
    """

    def __init__(
        self,
        epoch: int,
        step: int,
        loss: float,
        kept: Path | None = None,
        weight: str | None = None,
        reason: str = "",
    ) -> None:
        self.epoch, self.step, self.loss, self.kept, self.weight = epoch, step, loss, kept, weight
        hint = "  hint: a smaller learning rate, clipnorm=1.0 on the optimizer, or look for NaN in the data"
        what = f"the weight {weight} became NaN or infinite" if weight else f"the loss became {loss}"
        super().__init__(
            f"{what} in epoch {epoch}, step {step}; {_back(epoch, kept)}\n{reason or hint}"
            + ("; a changed setting needs a new run_dir" if kept else "")
        )


class TokenIdError(ValueError):
    """An embedding was given a token id that it has no row for; the model was put back to its last good state.

    Args:
        layer: Name of the embedding.
        token_id: The id.
        rows: How many rows there are, for the ids from 0 on.
        epoch: Number of the epoch, counted from 1.
        kept: The checkpoint that holds the last good state, where a `run_dir` was given.
    """

    def __init__(self, layer: str, token_id: int, rows: int, epoch: int, kept: Path | None = None) -> None:
        self.layer, self.token_id, self.rows, self.epoch, self.kept = layer, token_id, rows, epoch, kept
        hint = "ids from 0 on in the data"
        if token_id >= rows:
            hint = f"input_dim={token_id + 1} or more in that layer, or smaller ids in the data"
        super().__init__(
            f"the embedding {layer!r} was given the token id {token_id}, and its {rows} rows are for the ids 0 to "
            f"{rows - 1}; in epoch {epoch}, {_back(epoch, kept)}\n  hint: {hint}"
            + ("; a changed setting needs a new run_dir" if kept else "")
        )


def _back(epoch: int, kept: Path | None) -> str:
    """Say which state a model was put back to."""
    good = f"the end of epoch {epoch - 1}" if epoch > 1 else "the start of training"
    return f"the model is back at {good}" + (f", kept in {kept}" if kept else "")


class ExportError(ValueError):
    """A model cannot be exported, or what was exported does not compute what the model computes.

    Args:
        problem: What was found, and where.
        hint: What to try instead.
    """

    def __init__(self, problem: str, hint: str = "") -> None:
        self.problem, self.hint = problem, hint
        super().__init__(f"{problem}\n  hint: {hint}" if hint else problem)
