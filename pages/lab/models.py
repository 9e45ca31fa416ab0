"""Models."""

from aevae.ui import chrome
from aevae.ui.i18n import _

chrome.page(_("Models"), _("Which models are there, and how good are they?"))
