"""Arrays in, plotly figures out. No Streamlit, no torch: a figure can be made in a notebook or a test."""

from aevae.figures.bars import latent_bars
from aevae.figures.curves import loss_curves
from aevae.figures.lines import error_curve

__all__ = ["error_curve", "latent_bars", "loss_curves"]
