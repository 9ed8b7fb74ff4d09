"""Reinforcement learning: agents that learn from rewards, and tree search."""
