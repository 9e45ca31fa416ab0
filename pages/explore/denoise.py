"""Denoise."""

from aevae.ui import chrome
from aevae.ui.i18n import _

chrome.page(_("Denoise"), _("Which model cleans a spoilt digit, and how much noise can it stand?"))
