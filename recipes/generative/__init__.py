"""Generative models: autoencoders, variational autoencoders and adversarial networks."""
