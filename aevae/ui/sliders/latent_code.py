"""The latent code z of the sliders page, which all its sliders, maps and buttons change.

The code is a text under the key `z` ("0.12,-1.3"), in the session and in the URL. An empty or invalid text means: the
code of the chosen image. Every image of z comes from `decode_view`.
"""

import contextlib
import math
import zlib
from dataclasses import dataclass

import numpy as np
import streamlit as st

from aevae.latent.sampling import prior, prior_name
from aevae.store.checkpoints import NoSuchRun
from aevae.ui.i18n import _
from aevae.ui.shared import address, cached
from aevae.ui.shared.run_picker import DIGIT

CODE, DRAW, DIM_X, DIM_Y = "z", "draw", "dim_x", "dim_y"
PRIOR_STDS = 3.0  # smallest range of a slider, in standard deviations of the prior
MAX_CODE_CHARACTERS = 12_000  # limit of a code in the URL
_OWNER = "z_model"  # session: run to which the code belongs
_DIGIT_SEEN = "z_digit"  # session: digit that was chosen when the code was last set
_TEXT_SEEN = "z_text"  # session: text of the code when the page last ran


@dataclass(frozen=True, eq=False)
class LatentSpace:
    """The latent space of one run; read-only arrays.

    codes (N, D) and labels (N,) of the shown test images; order (D,): the most used dimension first; score (D,), unit:
    use of each dimension; active (D,) bool; low, high (D,): range of sliders; near, far (D,): range of strips and
    grids.
    """

    name: str
    family: str
    dataset: str
    prior: float  # s0 of the prior N(0, s0^2 I); 0 without a prior
    codes: np.ndarray
    labels: np.ndarray
    order: np.ndarray
    score: np.ndarray
    unit: str
    active: np.ndarray
    low: np.ndarray
    high: np.ndarray
    near: np.ndarray
    far: np.ndarray

    @property
    def latent_dim(self) -> int:
        return len(self.order)

    @property
    def alive(self) -> list[int]:
        """The used dimensions, the most used first."""
        return [d for d in self.order.tolist() if self.active[d]]

    @property
    def dead(self) -> list[int]:
        return [d for d in self.order.tolist() if not self.active[d]]

    def step(self, dim: int) -> float:
        """Step of a slider: a power of ten."""
        return 10.0 ** (math.floor(math.log10(self.high[dim] - self.low[dim])) - 2)

    def amount(self, dim: int) -> str:
        """Use of a dimension as text: `1.2 nats`."""
        amount = f"{self.score[dim]:.2g}"
        return _("{} nats").format(amount) if self.prior else _("variance {}").format(amount)

    def label(self, dim: int) -> str:
        """`z3 · 1.2 nats`."""
        return f"z{dim} · {self.amount(dim)}"


def open_latent_space(name: str) -> LatentSpace:
    """The latent space of a run. Raises ValueError with one sentence if the run or its images cannot be read."""
    run = cached.run(name)
    shown = run.shown.name
    codes, summary = cached.codes(name, shown), cached.latent_summary(name)
    near, far = nominal_range(summary["mean"], summary["std"], run.model.prior_scale)
    low, high = reach(codes, near, far)
    return LatentSpace(
        name=name,
        family=run.info.family,
        dataset=shown,
        prior=run.model.prior_scale,
        codes=codes,
        labels=cached.shown_digits(shown)[1],
        order=summary["order"],
        score=summary["score"],
        unit=summary["score_name"],
        active=summary["active"],
        low=low,
        high=high,
        near=near,
        far=far,
    )


def decode_view(run, z: np.ndarray) -> np.ndarray:
    """The decoded image float32 (28, 28) in [0, 1] of one code z (D,)."""
    return cached.applied(run, "decode", z[None])[0, 0]


# -- numbers ---------------------------------------------------------------------------------------------------------


def nominal_range(mean: np.ndarray, std: np.ndarray, prior_std: float) -> tuple[np.ndarray, np.ndarray]:
    """(low (D,), high (D,)), float64: +-3 s0 for a prior N(0, s0^2), else mean +- 3 std of the codes."""
    if prior_std:
        return np.full(len(mean), -PRIOR_STDS * prior_std), np.full(len(mean), PRIOR_STDS * prior_std)
    width = 3 * np.maximum(np.asarray(std, np.float64), 1e-3 * max(1e-3, float(np.max(std))))
    return mean - width, mean + width


def reach(codes: np.ndarray, near: np.ndarray, far: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The range near..far (D,), extended to contain every code (N, D), with ends rounded outwards to two digits."""
    low, high = np.minimum(near, codes.min(0)), np.maximum(far, codes.max(0))
    unit = 10.0 ** (np.floor(np.log10(high - low)) - 1)
    return np.floor(low / unit + 1e-9) * unit, np.ceil(high / unit - 1e-9) * unit


def format_code(z: np.ndarray) -> str:
    """The code as text with four significant digits: `0.12,-1.3`."""
    return ",".join(f"{v:.4g}" if v else "0" for v in np.asarray(z, np.float64))


def parse_code(text: str, latent_dim: int) -> np.ndarray | None:
    """The code (D,) float32 in `text`; None unless it is `latent_dim` finite numbers separated by commas."""
    if not text or len(text) > MAX_CODE_CHARACTERS or text.count(",") != latent_dim - 1:
        return None
    try:
        z = np.array([float(part) for part in text.split(",")], np.float64)
    except ValueError:
        return None
    return z.astype(np.float32) if np.isfinite(z).all() and np.abs(z).max() < 1e30 else None


def clip(z: np.ndarray, space: LatentSpace) -> np.ndarray:
    """z, clipped to the range of the sliders."""
    return np.clip(z, space.low, space.high).astype(np.float32)


def fitted_draw(codes: np.ndarray, seed: int) -> np.ndarray:
    """A sample (D,) float32 of the Gaussian with mean and full covariance of `codes` (N, D)."""
    rng = np.random.default_rng(seed)
    centred = codes.astype(np.float64) - codes.mean(0, dtype=np.float64)
    mixed = rng.standard_normal(len(codes)) @ centred / math.sqrt(len(codes))  # covariance = centred' centred / N
    return (codes.mean(0, dtype=np.float64) + mixed).astype(np.float32)


def prior_density(z: np.ndarray, prior_std: float = 1.0) -> tuple[float, float]:
    """(log N(z; 0, s0^2 I) of a code z (D,), its expectation -D/2 (log 2 pi s0^2 + 1)), in nats."""
    d = len(z)
    constant = -d * math.log(math.sqrt(2 * math.pi) * prior_std)
    return constant - 0.5 * float(np.square(z / prior_std, dtype=np.float64).sum()), constant - 0.5 * d


# -- the code in the session -----------------------------------------------------------------------------------------


def digit_code(space: LatentSpace) -> np.ndarray:
    """The code (D,) of the chosen digit or own image."""
    own = st.session_state.get(f"{DIGIT}_own")
    if own is not None:
        with contextlib.suppress(NoSuchRun):  # deleted elsewhere; the page shows a message after this callback
            return cached.applied(cached.run(space.name), "encode", own[None])[0]
    number = st.session_state.get(DIGIT, 0)
    return space.codes[number if 0 <= number < len(space.codes) else 0]


def current_code(space: LatentSpace) -> np.ndarray:
    """z (D,) float32, within the range of the sliders: from the session, else the digit's code."""
    z = parse_code(st.session_state.get(CODE, ""), space.latent_dim)
    return clip(digit_code(space) if z is None else z, space)


def set_code(z: np.ndarray | None, space: LatentSpace) -> None:
    """Set the code to z (D,), or to that of the chosen digit (None). Only in callbacks, before widgets are drawn."""
    st.session_state[CODE] = "" if z is None else format_code(clip(z, space))


def move(dim: int, space: LatentSpace) -> None:
    """Set dimension `dim` of the code to the value of its slider (a callback)."""
    z = current_code(space).copy()
    z[dim] = st.session_state[slider_key(dim)]
    set_code(z, space)


def place(dims: tuple[int, int], xy: tuple[float, float], space: LatentSpace) -> None:
    """Set two dimensions of the code to the chosen position (a callback)."""
    z = current_code(space).copy()
    z[list(dims)] = xy
    set_code(z, space)


def draw(space: LatentSpace, fitted: bool, next_one: bool = True) -> None:
    """Set the code to a sample: of the prior (N(0, I) without one), or of a Gaussian fitted to the codes.

    next_one: use the next seed, which the page shows.
    """
    st.session_state[DRAW] = st.session_state.get(DRAW, 0) + next_one
    seed = st.session_state[DRAW]
    set_code(fitted_draw(space.codes, seed) if fitted else prior(1, space.latent_dim, seed, space.prior or 1)[0], space)


def settle(space: LatentSpace) -> None:
    """Replace the code after another model or another image was chosen.

    A code in the address belongs to the model and the image in the same address, and a code that came into the session
    together with a model or an image belongs to these.
    """
    state = st.session_state
    if (said := address.read_new(CODE)) is not None:
        state[CODE] = said[-1] if said else ""
        state.pop(_OWNER, None)
        state.pop(_DIGIT_SEEN, None)
    digit = _digit_chosen()
    is_old = state.get(_TEXT_SEEN) == state.get(CODE, "")
    if state.get(_OWNER) not in (None, space.name):
        state[CODE] = "" if is_old else state[CODE]
        if space.latent_dim > 1:
            state[DIM_X], state[DIM_Y] = space.order[:2].tolist()
    elif state.get(_DIGIT_SEEN) not in (None, digit) and is_old:
        state[CODE] = ""
    state[_OWNER], state[_DIGIT_SEEN], state[_TEXT_SEEN] = space.name, digit, state.get(CODE, "")


def _digit_chosen() -> tuple[int, int]:
    own = st.session_state.get(f"{DIGIT}_own")
    return st.session_state.get(DIGIT, 0), 0 if own is None else zlib.crc32(own.tobytes())


# -- widgets ---------------------------------------------------------------------------------------------------------


def slider_key(dim: int) -> str:
    return f"z_{dim}"


def sliders(dims: list[int], z: np.ndarray, space: LatentSpace, columns: int = 2) -> None:
    """Show a slider for each of `dims`, row by row."""
    for start in range(0, len(dims), columns):
        for column, dim in zip(st.columns(columns), dims[start : start + columns], strict=False):
            low, high = float(space.low[dim]), float(space.high[dim])
            st.session_state[slider_key(dim)] = min(max(float(z[dim]), low), high)  # float32 rounds beyond the ends
            column.slider(
                space.label(dim),
                low,
                high,
                step=space.step(dim),
                key=slider_key(dim),
                on_change=move,
                args=(dim, space),
            )


def choose_dims(space: LatentSpace) -> tuple[int, int]:
    """Two different dimensions of a plane; the most used ones are the default."""
    order = space.order.tolist()
    x = _choose_dim(_("Across"), order, DIM_X)
    return x, _choose_dim(_("Up"), [d for d in [order[1], order[0], *order[2:]] if d != x], DIM_Y)


def _choose_dim(label: str, dims: list[int], key: str) -> int:
    return address.pick(st.selectbox, label, dims, format_func=lambda d: f"z{d}", key=key, width=120)


def code_field(space: LatentSpace) -> None:
    """Show a field with the code as text, to copy and paste."""
    text = st.text_input(
        _("The code z as text"),
        key=CODE,
        max_chars=MAX_CODE_CHARACTERS,
        placeholder=_("empty: the code of the chosen image"),
        help=_("{} numbers, separated by commas. They are part of the link. Other text is ignored.").format(
            space.latent_dim
        ),
        persist_state="session",
    )
    is_code = parse_code(text, space.latent_dim) is not None
    address.write(CODE, *([text] if is_code else []))
    if text and not is_code:
        st.caption(
            _("This is not a code of {} numbers. You see the code of the chosen image instead.").format(
                space.latent_dim
            )
        )


def start_buttons(space: LatentSpace) -> None:
    """Show buttons that set the code to zero, to a sample, or to that of the chosen digit."""
    st.button(
        _("Zero"), key="start_zero", on_click=set_code, args=(np.zeros(space.latent_dim), space),
        help=_("Set all numbers to 0, the middle of the prior") if space.prior else _("Set all numbers to 0"),
    )  # fmt: skip
    st.button(
        _("Random sample"), key="start_prior", icon=":material/casino:", on_click=draw, args=(space, False),
        help=_("A sample of {}, the prior").format(prior_name(space.prior)) if space.prior
        else _("A sample of N(0, I); this model has no prior"),
    )  # fmt: skip
    if not space.prior:
        st.button(
            _("Fitted sample"), key="start_fitted", icon=":material/casino:", on_click=draw, args=(space, True),
            help=_("A sample of a Gaussian with the mean and covariance of the test codes"),
        )  # fmt: skip
    st.button(
        _("Chosen image"), key="start_digit", icon=":material/filter_9:", on_click=set_code, args=(None, space),
        help=_("Set z to the code of the chosen image"),
    )  # fmt: skip


def seed_field(space: LatentSpace) -> None:
    """Show the seed of the samples."""
    st.number_input(
        _("Seed of the sample"), 0, 2**31 - 2, key=DRAW, width=180, bind="query-params",
        help=_("Each sample raises the seed by one. The same seed gives the same code."),
        on_change=draw, args=(space, False, False),
    )  # fmt: skip


def norm_note(z: np.ndarray, space: LatentSpace) -> str:
    """A text about the norm and density of z and their typical values."""
    norm = float(np.linalg.norm(z))
    low, high = np.quantile(np.linalg.norm(space.codes, axis=1), (0.05, 0.95))
    digits = _("for nine of ten test images ‖z‖ is {:.2f} to {:.2f}").format(low, high)
    if not space.prior:
        return _("‖z‖ = **{:.2f}**; {}. This model has no prior, so it does not say which codes are likely.").format(
            norm, digits
        )
    here, typical = prior_density(z, space.prior)
    return _(
        "‖z‖ = **{:.2f}**; a sample of the prior {} has about {:.2f}; {}. log p(z) = **{:.1f}** nats; the mean over "
        "samples is {:.1f}."
    ).format(norm, prior_name(space.prior), space.prior * math.sqrt(space.latent_dim), digits, here, typical)
