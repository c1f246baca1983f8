"""The built-in distillation losses, one module each, and their weighted sum.

The modules declare losses for the settings too, so importing them does not import torch.
"""

from engine.extensions.losses import Batch, Layers, LossFunction, Passages, Targets
from engine.training.losses.compared_layers import compared_layers
from engine.training.losses.weighted import WeightedLoss, build_loss

__all__ = [
    "Batch",
    "Layers",
    "LossFunction",
    "Passages",
    "Targets",
    "WeightedLoss",
    "build_loss",
    "compared_layers",
]
