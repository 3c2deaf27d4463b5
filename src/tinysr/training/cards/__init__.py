"""The model card: what made the weights, how good they are, and what they can't do."""

from tinysr.training.cards.model_card import Origin, make_model_card
from tinysr.training.cards.results import Scores

__all__ = ["Origin", "Scores", "make_model_card"]
