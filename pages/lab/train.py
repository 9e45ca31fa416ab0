"""Train."""

from aevae.ui import chrome
from aevae.ui.i18n import _

chrome.page(_("Train"), _("How does a network learn to squeeze a picture into a few numbers?"))
