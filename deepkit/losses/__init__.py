"""Losses and likelihoods that Keras lacks."""
