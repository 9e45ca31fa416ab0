"""Interpolate."""

from aevae.ui import chrome
from aevae.ui.i18n import _

chrome.page(_("Interpolate"), _("What lies between two digits?"))
