"""The names of Atari games, and the emulator: the optional package `ale-py`, which is imported on first use."""

from __future__ import annotations

import dataclasses
import functools
import importlib.util
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from deepkit.utils.errors import did_you_mean, format_value, message

if TYPE_CHECKING:
    import ale_py

NOOP = 0
NUM_WARM_UP_FRAMES = 60  # enough for all 104 games of ale-py 0.12
_MULTIPLAYER = {"combat", "joust", "maze_craze", "warlords"}  # without a mode for one player


def has_emulator() -> bool:
    """Return whether the package of the emulator is installed."""
    return importlib.util.find_spec("ale_py") is not None


def game_names() -> dict[str, str]:
    """Return the identifier of the ROM by name, `"SpaceInvaders"` -> `"space_invaders"`; empty without the emulator."""
    if not has_emulator():
        return {}
    from ale_py import roms

    roms_of_one = [rom for rom in roms.get_all_rom_ids() if rom not in _MULTIPLAYER]
    return {rom.title().replace("_", ""): rom for rom in roms_of_one}


def find_game(game: object) -> str | None:
    """Return the name of a game as in `game_names`, for `"Pong"`, `"pong"` or `"ALE/Pong-v5"`; None if there is none.

    Args:
        game: The name.
    """
    if not isinstance(game, str):
        return None
    plain = re.sub(r"^ALE/|-v5$", "", game).replace("_", "").lower()
    return next((name for name in game_names() if name.lower() == plain), None)


def check_game(game: object) -> str:
    """Return the name of a game, or raise an error.

    Args:
        game: The name.
    """
    require_emulator()
    name = find_game(game)
    if name is None:
        problem = f"Atari: unknown game {format_value(game)}{did_you_mean(game, game_names())}"
        raise ValueError(message(problem, hint='pass the name of a game, such as "Pong" or "SpaceInvaders"'))
    return name


def require_emulator() -> None:
    """Raise an error if the emulator is not installed."""
    if not has_emulator():
        raise ImportError(
            message(
                "Atari games need the package ale-py, which is not installed",
                hint="pip install 'deepkit-keras[atari]'; ale-py is GPL-2.0 and therefore optional",
            )
        )


def make_emulator(game: str, *, seed: int) -> ale_py.ALEInterface:
    """Return an emulator that has loaded a game.

    Args:
        game: A name of `game_names`.
        seed: Seed of the emulator, of 31 bits.
    """
    import ale_py
    from ale_py import roms

    ale_py.ALEInterface.setLoggerMode(ale_py.LoggerMode.Error)  # otherwise it prints a banner
    emulator = ale_py.ALEInterface()
    emulator.setInt("random_seed", seed)
    emulator.setFloat("repeat_action_probability", 0.0)
    rom = roms.get_rom_path(game_names()[game])
    if rom is None:
        raise FileNotFoundError(message(f"Atari: the ROM of {game} is missing", hint="reinstall ale-py"))
    emulator.loadROM(rom)
    return emulator


def start_game(emulator: ale_py.ALEInterface, num_noops: int) -> None:
    """Start a game with frames without an action.

    Args:
        emulator: The emulator.
        num_noops: Number of these frames.
    """
    emulator.reset_game()
    for _ in range(num_noops):
        emulator.act(NOOP)
        if emulator.game_over():
            emulator.reset_game()


def read_emulator_states(contents: Iterable[np.ndarray]) -> list[ale_py.ALEState]:
    """Return the states of emulators that `ALEState.serialize` wrote.

    Args:
        contents: For each emulator the bytes, uint8.
    """
    import ale_py

    try:
        return [ale_py.ALEState(np.asarray(content, dtype=np.uint8).tobytes()) for content in contents]
    except Exception as error:  # nanobind raises SystemError for damaged bytes
        problem = "Atari.set_state: the state of an emulator is damaged"
        raise ValueError(message(problem, hint="pass the result of get_state()")) from error


def restore_emulator(emulator: ale_py.ALEInterface, state: ale_py.ALEState) -> None:
    """Restore a state in an emulator of the same game.

    A state lacks something that the first frames of a game set: an emulator that has not played any continues games
    such as Q*bert and Tetris differently.

    Args:
        emulator: The emulator.
        state: The state.
    """
    emulator.reset_game()
    for _ in range(NUM_WARM_UP_FRAMES):
        emulator.act(NOOP)
    emulator.restoreState(state)


@dataclasses.dataclass(frozen=True)
class GameProperties:
    """The actions of a game, and the height and width of its screen."""

    minimal_actions: tuple[ale_py.Action, ...]
    all_actions: tuple[ale_py.Action, ...]
    screen_size: tuple[int, int]


@functools.cache
def game_properties(game: str) -> GameProperties:
    """Return the properties of a game, which an emulator knows after it has loaded the game.

    Args:
        game: A name of `game_names`.
    """
    emulator = make_emulator(game, seed=0)
    height, width = emulator.getScreenDims()
    return GameProperties(tuple(emulator.getMinimalActionSet()), tuple(emulator.getLegalActionSet()), (height, width))
