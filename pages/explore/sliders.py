"""Latent sliders."""

from aevae.ui import chrome
from aevae.ui.i18n import _

chrome.page(_("Latent sliders"), _("What does each number of the code mean?"))
