"""Layers that several families of models are made of, with the key names of diffusers."""
