"""Reinforcement learning: agents that learn from the rewards of their actions."""
