"""Definitions of agents, which choose actions and learn from rewards; `dk.learn` trains them in an environment."""
