"""What to try on the page Embeddings, and what is seen in its default maps."""

from aevae.ui.embeddings.details import BOARD, OWN
from aevae.ui.embeddings.panes import state_of
from aevae.ui.frame.tries import Try
from aevae.ui.i18n import _

_PLAIN = {"colour": "class", "align": "free"}


def of_maps() -> list[Try]:
    """Things to try; each sets all maps up. A try whose models do not exist has no button."""
    two = state_of("two-tsne")
    control = state_of("control")
    return [
        Try(
            _("Draw around a clump in the first map. Where do its digits lie at perplexity 30 and 100?"),
            _with(state_of("perplexity"), _PLAIN),
        ),
        Try(
            _("The colour says how many of a digit's ten neighbours change in the second map. Which digits are these?"),
            _with(two, _PLAIN | {"colour": "changed-1-2"}),
        ),
        Try(
            _("The second map is turned onto the first. Press ⇄ over a map: it changes into the next one. Which class "
              "moves as a whole, which falls apart?"),
            _with(two, _PLAIN | {"align": "first"}),
        ),
        Try(
            _("Draw a 4 that is nearly a 9. Where does it go in each map, while you draw?"),
            _with(two, _PLAIN | {BOARD: BOARD, f"{OWN}_how": "draw"}),
        ),
        Try(
            _("The second map shows random codes: t-SNE places them in groups, too. What tells you that these groups "
              "mean nothing?"),
            _with(control, _PLAIN), breaks=True,
        ),
    ]  # fmt: skip


def what_is_seen() -> str:
    """The lesson of the default maps. `tests/test_lessons.py` measures these numbers."""
    return _(
        "- Digits of one class lie together, although neither model nor map has seen a label. In the map of the AE "
        "90 % of the 1,000 digits are among digits of their own class (10-NN accuracy), in the map of the VAE 91 %. "
        "Guessing would be right for 10 %.\n"
        "- A map of the raw pixels, made in the same way, reaches 86 %: the codes separate the classes better than the "
        "pixels.\n"
        "- For random codes the number is 9 %. There the map shows groups, but their colours are mixed."
    )


def _with(state: dict, more: dict) -> dict:
    return {**state, **more} if state else {}
