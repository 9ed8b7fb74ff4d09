"""The display of a match in a notebook."""

from __future__ import annotations

from deepkit.search.match import Match
from deepkit.utils import html_fragments as fragments


def render_match(match: Match) -> str:
    """Return the counts of a match by the side that moves first, and its score, as HTML."""
    first, second = match.players
    rows = [
        (f"{first} moves first", *map(str, match.moving_first)),
        (f"{second} moves first", *map(str, match.moving_second)),
        ("all games", str(match.wins), str(match.draws), str(match.losses)),
    ]
    low, high = match.interval
    return (
        fragments.title(f"{first} against {second}", f"{match.num_games} games of {match.game}")
        + fragments.table(rows, ("", "wins", "draws", "losses"))
        + fragments.note(
            f"score {match.score:.3f}, 95 % interval {low:.3f} to {high:.3f}; {match.mean_length:.1f} moves per game"
        )
    )
