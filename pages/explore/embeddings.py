"""Embeddings."""

from aevae.ui import chrome
from aevae.ui.i18n import _

chrome.page(_("Embeddings"), _("Do digits of one class live together in the latent space?"))
