"""Generative models and memories: autoencoders, adversarial networks, Hopfield networks, Helmholtz machines."""
