"""The lab Time: sampled futures, and the data for `time.js`."""

import numpy as np
import streamlit as st

from aevae.latent import futures
from aevae.ui.i18n import _
from aevae.ui.live import component
from aevae.ui.shared import cached, image_sheets, url_values

MAX_SEEN_FRAMES, NUM_FUTURES, NUM_FUTURE_FRAMES = 8, 6, 12  # largest number of seen frames; futures; frames per future
DIGIT = 3  # after one frame three of six futures go the wrong way
SEEN = {"seen": (1, 1, MAX_SEEN_FRAMES)}


@st.cache_data(max_entries=16, show_spinner=False)
def predict(name: str, frames: np.ndarray, jump: int, seed: int) -> futures.Futures:
    jumps = NUM_FUTURE_FRAMES // jump
    return futures.futures(cached.run(name), frames, MAX_SEEN_FRAMES, NUM_FUTURES, jumps, jump, seed)


def show(frames: np.ndarray, predicted: futures.Futures, seen: int, key: str) -> None:
    """Play the true frames, the beliefs and the sampled futures."""
    if problem := component.trouble([], has_server_version=True):
        st.caption(problem)
        shown = np.concatenate([frames[seen - 1 : seen + NUM_FUTURE_FRAMES : predicted.jump, 0][None], np.insert(
            predicted.drawn[seen - 1], 0, predicted.believed[seen - 1], axis=1)])  # fmt: skip
        image_sheets.show(
            shown, width="stretch", alt=_("The true frames, and the sampled futures below, frame by frame")
        )
        return
    component.mount(
        "time",
        "futures",
        {
            "key": key,
            "shape": f"{predicted.drawn.shape}",
            "seen": seen,
            "jump": predicted.jump,
            "near": [round(predicted.near(s)[0] * NUM_FUTURES) for s in range(1, MAX_SEEN_FRAMES + 1)],
            "texts": {
                "seen": _("Frames seen"),
                "said": _("{seen} seen: {near} of {count} first jumps are within one pixel"),
                "truth": _("truth"),
                "belief": _("belief"),
                "future": _("future {number}"),
                "now": _("Time"),
                "before": _("frame {frame}, seen"),
                "after": _("frame {frame}, {ahead} after the last seen frame"),
                "play": _("▶ Play"),
                "pause": _("❚❚ Pause"),
                "chart": _("Place of the digit: ● frames seen, ○ truth, red: sampled futures"),
                "across": _("frame"),
                "up": _("pixels to the right of the first frame"),
            },
        },
        {
            "true": frames.reshape(-1),
            "column": predicted.true.astype(np.int32),
            "believed": predicted.believed,
            "drawn": predicted.drawn,
            "place": predicted.place.astype(np.int32),
        },
        height=420,
        on_send=url_values.number_handler({"seen": "seen"}, SEEN),
    )
