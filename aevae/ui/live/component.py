"""JavaScript modules in the page, and the models that they decode and encode with.

`mount` puts a module on the page. aevae's own routes serve modules and programs (`aevae.browser.program`) under names
that change with their content, so a browser can cache them. If a model or a browser cannot run live, `trouble` returns
a message, and the page shows its server version instead.
"""

import functools
import hashlib
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import streamlit as st

import aevae
from aevae.browser import plain
from aevae.browser.blob import pack
from aevae.store import bundles, checkpoints
from aevae.store.checkpoints import RunInfo
from aevae.ui.i18n import _
from aevae.ui.shared import cached
from aevae.ui.shared.message import OneOf, valid_fields

LAB = "lab."  # prefix of the names of bundled models
ROOMS = Path(__file__).parents[1]  # the folder aevae/ui, whose rooms contain JavaScript and style sheets
_TROUBLE = "live_trouble"  # session: run name, or "" for all -> code of the problem
_WHEN = "live_trouble_when"  # session: time of the last report
_TURN = "live_turn"  # session: number of calls of `restart`
_RETRY_SECONDS = 60.0  # after a network problem the live version is tried again


def files(ending: str) -> dict[str, Path]:
    """Name without ending -> file, of all rooms. Names are unique."""
    return {path.stem: path for path in sorted(ROOMS.rglob(f"*.{ending}"))}


MODULES, STYLES = files("js"), files("css")
_MAKERS = ("program.py", "plain.py", "blob.py")
_MAKER = b"".join((Path(aevae.__file__).parent / "browser" / name).read_bytes() for name in _MAKERS)
VERSION = hashlib.sha256(b"".join(path.read_bytes() for path in MODULES.values())).hexdigest()[:12]
COMMON_STYLES = ("live", "dom")  # used by all modules
BORROWED_STYLES = {
    "latent_plane": ("latent_code",),
    "elbo": ("elbo_divergence",),
    "likelihoods": ("collapse", "elbo_divergence"),
    "toy": ("draw",),
}


def styles(module: str) -> tuple[str, ...]:
    """Names of the style sheets of a module; later ones take precedence."""
    names = (*COMMON_STYLES, *BORROWED_STYLES.get(module, ()), module)
    return tuple(name for name in names if name in STYLES)


@functools.lru_cache(maxsize=64)
def _component(module: str) -> Callable:
    """The Streamlit component of a module, with a shadow tree that has only the module's styles."""
    return st.components.v2.component(
        f"aevae_{module}",
        html='<div class="live"></div>',
        css="\n".join(STYLES[name].read_text("utf-8") for name in styles(module)),
        js=MODULES["loader"].read_text("utf-8"),
    )


def mount(
    module: str,
    key: str,
    spec: dict,
    arrays: dict[str, np.ndarray] | None = None,
    *,
    programs: Sequence[str | RunInfo] = (),
    height: int = 0,
    shape: dict[str, float] | None = None,
    on_send: Callable[[dict], None] | None = None,
) -> None:
    """Put `<module>.js` of any room on the page.

    spec: JSON data; arrays: float32, float16, int32, uint16 or uint8; both are passed to the module's `update`.
    programs: runs, or names of runs, of bundled models or plain.READER; it gets their functions in this order. height:
    reserved pixels. shape: box that is reserved until the module draws: aspect (width / height), largest width and
    height, narrow (height in a column of less than 620 pixels), foot (additional pixels below). on_send(payload):
    called with a message of the module before the page runs; it must check the message (`shared.message`).
    """

    def sent() -> None:
        payload = getattr(st.session_state.get(key), "sent", None)  # a page may have removed the module meanwhile
        if not isinstance(payload, dict):
            return
        if "trouble" in payload:
            _report(payload)
        elif on_send:
            on_send(payload)

    header = {
        "module": _place(MODULES[module]),
        "base": f"live/{VERSION}/",
        "texts": _texts(),
        "finger": _("Tap here first. Then you can draw or drag with your finger."),
        "turn": st.session_state.get(_TURN, 0),
        "height": height,
        "shape": shape,
        "programs": [{"run": _model_name(model), "url": address(model)} for model in programs],
        "spec": spec,
    }
    _component(module)(key=key, data=pack(header, arrays), on_sent_change=sent)


def restart() -> None:
    """Let all modules of this session begin again from what Python sends next; call it before the page runs."""
    st.session_state[_TURN] = st.session_state.get(_TURN, 0) + 1


def _place(path: Path) -> str:
    """Path of a file relative to ROOMS: `sliders/latent_plane.js`."""
    return path.relative_to(ROOMS).as_posix()


def address(model: str | RunInfo) -> str:
    """Address, relative to the page, of the program of a finished run, of a bundled model ("lab.<bundle>.<model>"), or
    of the digit classifier (`plain.READER`).

    Raises ValueError.
    """
    if model == plain.READER:
        return f"live/{model}/{_name(_reader_checksum())}"
    if isinstance(model, str) and (bundle := _bundle(model)):
        return f"live/{model}/{_name(bundles.checksum(bundle))}"
    info = cached.info_of(model)
    return f"live/{info.name}/{_name(info.weights_checksum)}"


def trouble(runs: Sequence[str | RunInfo], *, has_server_version: bool) -> str | None:
    """A message if these runs cannot be decoded in this browser, else None.

    has_server_version: the message says that the server computes the images instead.
    """
    reported = _reported()
    for name in ("", *map(_model_name, runs)):
        if name in reported:
            instead = _("So the server decodes, after each of your actions.") if has_server_version else ""
            return " ".join(filter(None, (_texts()[reported[name]], instead)))
    for info in map(cached.info_of, runs):
        if not info.traits["has_encoder"]:
            return _("{} has no encoder. After each of your actions, the server searches for the code.").format(
                info.name
            )
        made = program(info)
        if isinstance(made, str):
            return _("The server decodes {} after each of your actions: {}.").format(info.name, made)
    return None


def _model_name(model: str | RunInfo) -> str:
    return model if isinstance(model, str) else model.name


def _texts() -> dict[str, str]:
    """Code of a problem -> message for all modules."""
    return {
        "network": _("A part of this page did not reach the browser. Reload the page to try again."),
        "weights": _("The received weights do not match their header."),
        "layer": _("This model has a layer that the browser cannot compute."),
        "browser": _("This browser lacks a function that live decoding needs."),
    }


def _reported() -> dict[str, str]:
    """The current problems: run name, or "" for all -> code."""
    waited = time.monotonic() - st.session_state.get(_WHEN, 0.0) >= _RETRY_SECONDS
    known = st.session_state.get(_TROUBLE, {})
    return {name: code for name, code in known.items() if not (waited and code == "network")}


def _report(payload: dict) -> None:
    names = [info.name for info in cached.runs()]
    found = valid_fields(payload, {"trouble": OneOf(tuple(_texts())), "run": OneOf(names)})
    if "trouble" in found:
        st.session_state[_TROUBLE] = {**_reported(), found.get("run", ""): found["trouble"]}
        st.session_state[_WHEN] = time.monotonic()


def lab_models(bundle: str) -> list[str]:
    """Names of a bundle's models for `mount`. Raises `bundles.Missing`."""
    return [f"{LAB}{bundle}.{member}" for member in bundles.stored(bundle)]


def _bundle(name: str) -> str:
    """Name of the bundle of a model; "" for a run."""
    return name.removeprefix(LAB).partition(".")[0] if name.startswith(LAB) else ""


def _name(checksum: str) -> str:
    """A file name that changes with the weights and with the code that makes programs."""
    return hashlib.sha256(_MAKER + checksum.encode()).hexdigest()[:16] + ".bin"


def program(info: RunInfo) -> bytes | str:
    """The program of a finished run, or the reason why there is none."""
    return _program(str(info.path), info.weights_checksum)


@functools.lru_cache(maxsize=32)
def _program(path: str, checksum: str) -> bytes | str:
    """`program`, cached per process, because routes use it; by the path, because a RunInfo cannot be hashed."""
    from aevae.browser import program as programs
    from aevae.runs import load_run

    try:
        return programs.program(load_run(path).model)
    except programs.Unsupported as reason:
        return str(reason)


@functools.lru_cache(maxsize=32)
def _lab_program(name: str, checksum: str) -> bytes:
    """The program of a lab's model. Raises ValueError, KeyError."""
    bundle = _bundle(name)
    member = name.removeprefix(f"{LAB}{bundle}.")
    stored = bundles.stored(bundle)[member]
    if plain.is_plain(stored.config["model"]):
        return plain.PlainModel(stored.config["model"], stored.weights).program()
    from aevae.browser import program as programs

    return programs.program(bundles.load(bundle)[member].model(), params=True)


@functools.lru_cache(maxsize=1)
def _reader_checksum() -> str:
    return hashlib.sha256(plain.CLASSIFIER.read_bytes()).hexdigest()


# -- routes ----------------------------------------------------------------------------------------------------------


def routes() -> list:
    """Routes for `st.App`: modules and programs, whose names change with the content, so browsers can cache them."""
    from starlette.routing import Route

    return [Route("/live/{place}/{file:path}", _serve)]


def _serve(request):
    from starlette.responses import Response

    place, file = request.path_params["place"], request.path_params["file"]
    found = _module(place, file) or _weights(place, file)
    if found is None:
        return Response("not here", 404, media_type="text/plain")
    body, kind = found
    return Response(
        body,
        media_type=kind,
        headers={"Cache-Control": "public, max-age=31536000, immutable", "X-Content-Type-Options": "nosniff"},
    )


def _module(version: str, file: str) -> tuple[bytes, str] | None:
    path = MODULES.get(file.rpartition("/")[2].removesuffix(".js"))
    if version != VERSION or path is None or file != _place(path):
        return None
    return path.read_bytes(), "text/javascript"


def _weights(name: str, file: str) -> tuple[bytes, str] | None:
    try:
        if name == plain.READER:
            blob = plain.reader_program() if file == _name(_reader_checksum()) else None
        else:
            blob = _lab_weights(name, file) if name.startswith(LAB) else _run_weights(name, file)
    except (ValueError, OSError, KeyError):
        return None
    return (blob, "application/octet-stream") if isinstance(blob, bytes) else None


def _run_weights(name: str, file: str) -> bytes | str | None:
    info = checkpoints.finished_run(name) if checkpoints.NAME.fullmatch(name) else None
    return program(info) if info and file == _name(info.weights_checksum) else None


def _lab_weights(name: str, file: str) -> bytes | None:
    checksum = bundles.checksum(_bundle(name)) if _bundle(name) in bundles.names() else ""
    return _lab_program(name, checksum) if checksum and file == _name(checksum) else None
