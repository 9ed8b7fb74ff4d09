"""Recipes of generative models and autoencoders."""
