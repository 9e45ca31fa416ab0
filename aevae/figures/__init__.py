"""Plotly figures from arrays, without Streamlit and torch."""

from aevae.figures.bars import latent_bars
from aevae.figures.curves import loss_curves
from aevae.figures.lines import error_curve

__all__ = ["error_curve", "latent_bars", "loss_curves"]
