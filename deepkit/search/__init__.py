"""Search and matches of board games: PUCT, players, and matches with a confidence interval.

Example:
    >>> play(RulePlayer(), random_player, "ConnectFour").score > 0.9
    True
"""

from deepkit.envs.players import random_player
from deepkit.search.match import Match, play
from deepkit.search.puct import PUCT, SearchResult
from deepkit.search.rule_player import RulePlayer

__all__ = ["PUCT", "SearchResult", "play", "Match", "random_player", "RulePlayer"]


def __dir__() -> list[str]:
    return sorted(__all__)
