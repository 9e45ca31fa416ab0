"""A report of some runs as one self-contained HTML file, for homework or a lab report.

Figures are inline SVG, images are data URIs, formulas are LaTeX source. All text from a run is escaped.
"""

import base64
import io
import platform
import shlex
import time
from collections.abc import Iterable, Sequence
from html import escape

import numpy as np

from aevae import __version__, datasets
from aevae.config import PRESETS, preset
from aevae.figures import latent_bars, loss_curves
from aevae.figures.compare import Point, trade_off
from aevae.figures.static import to_svg
from aevae.reporting import comparison
from aevae.reporting.comparison import describe, numbers_of
from aevae.run_config import RunConfig
from aevae.store import checkpoints
from aevae.store.checkpoints import RunInfo
from aevae.tiles import tile

COLUMNS = ("recon", "kl", "elbo", "sse", "psnr", "active_units")  # metrics in the first table
NUM_EXTREMES, NUM_SAMPLES = 10, 20  # best and worst images each; samples
NUM_STEPS, NUM_DIMS = 9, 6  # images per traversal; traversed dimensions
CEILING = (
    "The mutual information has reached its upper limit log N: the estimate cannot be larger, but the true value can. "
    "The total correlation is then too large."
)
STYLE = """
:root { color-scheme: light dark; --line: #DCD8CC; --quiet: #5F6670; --paper: #FDFCF9; --ink: #1D232B; }
@media (prefers-color-scheme: dark) { :root { --line: #353B44; --quiet: #A3A9B2; --paper: #14171C; --ink: #E8E6E0; } }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 0 auto; padding: 2rem 1rem; color: var(--ink);
  background: var(--paper); }
h1, h2, h3 { line-height: 1.25; margin: 2.2rem 0 0.6rem; } h1 { margin-top: 0; }
h2 { border-top: 1px solid var(--line); padding-top: 1.2rem; }
table { border-collapse: collapse; font-size: 0.9rem; } .wide { overflow-x: auto; }
th, td { padding: 0.25rem 0.7rem; border-bottom: 1px solid var(--line); text-align: right; vertical-align: bottom; }
th:first-child, td:first-child { text-align: left; white-space: nowrap; } th { font-weight: 600; }
.words :is(th, td) { text-align: left; vertical-align: top; }
td.best { font-weight: 700; } .quiet, figcaption { color: var(--quiet); font-size: 0.9rem; }
pre { overflow-x: auto; padding: 0.7rem; border: 1px solid var(--line); border-radius: 4px; white-space: pre-wrap;
  overflow-wrap: anywhere; }
code { overflow-wrap: anywhere; } figure { margin: 1rem 0; } a { color: inherit; }
svg { max-width: 100%; height: auto; color: inherit; } img { image-rendering: pixelated; max-width: 100%; }
img { display: block; margin: 0.5rem 0; }
@media print { h2 { break-before: auto; } figure, tr { break-inside: avoid; } }
"""


def command(config: RunConfig) -> str:
    """The command that trains this run, with the options that differ from the defaults and from the recipe."""
    raw, words = config.to_dict(), []
    recipe = preset(PRESETS[0], config.data, config.model)
    default = RunConfig(type(config.data)(), type(config.model)(), recipe).to_dict()
    named = ("latent_dim", "beta", "epochs", "batch_size", "lr")
    for part in ("model", "train", "data"):
        for key, value in raw[part].items():
            if key in ("family", "name", "digest") or value == default[part].get(key):
                continue
            text = str(value).lower() if isinstance(value, bool) else str(value)
            words += [f"--{key}".replace("_", "-"), text] if key in named else ["--set", f"{key}={text}"]
    seed = ["--seed", str(config.seed)] if config.seed else []
    start = ["python", "-m", "aevae", "train", "--family", config.model.family, "--dataset", config.data.name]
    return shlex.join([*start, *words, *seed])


def report(infos: Sequence[RunInfo], dataset: str = "") -> str:
    """The HTML page about these finished runs.

    dataset: the test images that the first table and the trade-off refer to; "": see `common`. Raises ValueError if
    there is no run, or if one is unfinished or damaged.
    """
    from aevae.runs import Run

    if not infos:
        raise ValueError("a report needs at least one run")
    for info in infos:
        if info.status != "finished":
            raise ValueError(f"{info.name} is {info.status}; only finished runs can be reported")
    names = comparison.titles(infos)
    dataset = dataset or common(infos)
    runs = {info.name: Run(info) for info in infos if info.traits["input"] == "image"}
    title = f"Report of {len(infos)} runs" if len(infos) > 1 else f"Report: {names[infos[0].name]}"
    body = [
        f"<h1>{escape(title)}</h1>",
        f'<p class="quiet">Made on {time.strftime("%Y-%m-%d")} with aevae {__version__}, '
        f"Python {platform.python_version()}. Metrics are sums over pixels and latent dimensions, means over "
        "images, in nats.</p>",
        *_numbers(infos, names, dataset),
        *_trade_off(infos, names, dataset),
        *_curves(infos, names),
        *_images(list(runs.values()), names),
        *(part for info in infos for part in _one(info, names[info.name], runs.get(info.name))),
        *_definitions(infos),
    ]
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{escape(title)}</title>'
    head = f"<head>{head}<style>{STYLE}</style></head>"
    return f'<!doctype html>\n<html lang="en">{head}\n<body>' + "\n".join(body) + "</body></html>\n"


def common(infos: Sequence[RunInfo]) -> str:
    """The data set for which most of these runs have metrics; on a tie the first run's own."""
    counts = {name: sum(name in info.metrics for info in infos) for info in infos for name in info.metrics}
    own = infos[0].dataset
    return max(counts, key=lambda name: (counts[name], name == own), default=own)


# -- all of them -----------------------------------------------------------------------------------------------------


def _numbers(infos: Sequence[RunInfo], names: dict[str, str], dataset: str) -> list[str]:
    found = {info.name: numbers_of(info, dataset) for info in infos}
    columns = [c for c in COLUMNS if any(c in values for values in found.values())]
    columns = comparison.with_extras(columns, *found.values())
    alike = len({comparison.likelihood(info) for info in infos}) == 1
    digits = {
        c: comparison.decimals([comparison.standard_error(c, info.metrics.get(dataset, {})) for info in infos])
        for c in columns
    }
    rows = []
    for info in infos:
        cells = [f'<td><a href="#{escape(info.name)}">{escape(names[info.name])}</a></td>']
        for column in columns:
            value = found[info.name].get(column)
            best = (alike or column not in comparison.OF_LIKELIHOOD) and _is_best(column, value, found.values())
            text = "–" if value is None else comparison.rounded(value, digits[column])
            cells.append(f'<td class="best">{text}</td>' if best else f"<td>{text}</td>")
        rows.append("<tr>" + "".join(cells) + "</tr>")
    heads = "".join(f"<th>{escape(comparison.column_head(describe(c, *found.values())))}</th>" for c in columns)
    note = "" if alike else " Compare recon and ELBO only between runs with the same likelihood of a pixel."
    return [
        "<h2>Metrics</h2>",
        f'<div class="wide"><table><tr><th>run</th>{heads}</tr>{"".join(rows)}</table></div>',
        f'<p class="quiet">On the test images of {escape(dataset)}. Bold: the best value of the column.{note}</p>',
        *(f"<p>{escape(names[info.name])}: {escape(info.warning)}</p>" for info in infos if info.warning),
    ]


def _is_best(column: str, value: float | None, rows: Iterable[dict]) -> bool:
    others = [row[column] for row in rows if column in row]
    metric = describe(column)
    return value is not None and metric.better != "" and len(others) > 1 and not any(
        comparison.gain(metric, other, value) > 0 for other in others
    )  # fmt: skip


def points(infos: Sequence[RunInfo], names: dict[str, str], dataset: str, term: str, chosen=None) -> list[Point]:
    """Trade-off points of the runs that have a KL and `term` on this data set. chosen: names to mark; None: all."""
    found = []
    for info in infos:
        values = numbers_of(info, dataset)
        if "kl" in values and term in values:
            series, here = comparison.curve_key(info), chosen is None or info.name in chosen
            weight = comparison.beta(info)
            found.append(Point(names[info.name], info.family, values["kl"], values[term], weight, series, here))
    return found


def _trade_off(infos: Sequence[RunInfo], names: dict[str, str], dataset: str) -> list[str]:
    groups: dict[str, list[RunInfo]] = {}
    for info in infos:
        groups.setdefault(comparison.likelihood(info), []).append(info)
    parts = []
    for kind, members in groups.items():
        rated = points(members, names, dataset, "recon")
        if rated:
            chart = trade_off(rated, comparison.axis_title("recon"), comparison.axis_title("kl"))
            note = (
                "The ELBO is the same along a dotted line; lower left is better. The slope of the dashed line is how "
                "much reconstruction improves per extra nat of code. A β-VAE settles where the slope equals β."
            )
            parts.append(_figure(to_svg(chart), f"Pixels: {kind.replace('_', ' ')}. {note}"))
    return ["<h2>Rate and distortion</h2>", *parts] if parts else []


def _curves(infos: Sequence[RunInfo], names: dict[str, str]) -> list[str]:
    histories = {names[info.name]: _history(info) for info in infos}
    families = {names[info.name]: info.family for info in infos}
    charts = []
    for term in ("recon", "kl"):
        lines = {name: found for name, found in histories.items() if any(term in line["test"] for line in found)}
        if lines:
            charts.append(
                _figure(
                    to_svg(loss_curves(lines, term, families=families)), "Solid: test images. Dashed: training images."
                )
            )
    return ["<h2>Learning curves</h2>", *charts] if charts else []


def _history(info: RunInfo) -> list[dict]:
    """Records of the history, reduced to their scalar numbers."""
    lines = []
    for line in checkpoints.read_history(info.path):
        if isinstance(line.get("epoch"), int):
            terms = {part: values for part in ("train", "test") if isinstance(values := line.get(part), dict)}
            plain = {p: {k: v for k, v in t.items() if isinstance(v, int | float)} for p, t in terms.items()}
            lines.append({"epoch": line["epoch"], **plain})
    return lines


# -- images --------------------------------------------------------------------------------------------------------


def _images(runs: Sequence, names: dict[str, str]) -> list[str]:
    """Best and worst reconstructions, samples, and traversals of models of images."""
    from aevae.runs import shown_images

    parts, codes, sets = ["<h2>Best and worst reconstructions</h2>"], {}, {run.shown.name for run in runs}
    for run in runs:
        images = shown_images(run.shown)
        codes[run.name] = run.encode(images)
        x_hat = run.decode(codes[run.name])
        errors = comparison.squared_errors(images, x_hat)
        rows = [np.concatenate([images[list(i)], x_hat[list(i)]]) for i in comparison.extremes(errors, NUM_EXTREMES)]
        said = f"{names[run.name]}: squared error {errors.min():.1f} at best, {np.median(errors):.1f} in the middle, "
        said += f"{errors.max():.1f} at worst, on {len(images):,} test images of {run.shown.name}."
        if datasets.relation(run.config.data, run.shown.name) == datasets.shown.SEEN:
            said += " The model has seen these images: it was trained on all of MNIST."
        pair = [sheet(row, len(row) // 2) for row in rows]
        alts = [f"The {which} reconstructions of {names[run.name]} under the digits" for which in ("best", "worst")]
        parts.append(_figure(" ".join(image(p, alt) for p, alt in zip(pair, alts, strict=True)), said))
    generative = [run for run in runs if run.model.generative]
    if generative:
        parts.append("<h2>Samples</h2>")
    for run in generative:
        drawn = sheet(comparison.samples(run, NUM_SAMPLES, 0), NUM_SAMPLES // 2)
        parts.append(_figure(image(drawn, f"Samples of {names[run.name]}"), f"{names[run.name]}: seed 0."))
    smooth = [run for run in runs if run.model.latent == "continuous"]
    if smooth and len(sets) == 1:
        parts += _traversals(smooth, [codes[run.name] for run in smooth], names)
    return parts if runs else []


def _traversals(runs: Sequence, codes: list[np.ndarray], names: dict[str, str]) -> list[str]:
    dims = [int(d) for d in runs[0].latent_summary()["order"][:NUM_DIMS]]
    parts = ["<h2>What the dimensions do</h2>"]
    for run, strips in zip(runs, comparison.aligned(runs, codes, 0, dims, NUM_STEPS), strict=True):
        there = [strip for strip in strips if strip is not None]
        blank = np.full((NUM_STEPS, 1, 28, 28), np.nan, np.float32)
        drawn = sheet(np.concatenate([strip.images if strip else blank for strip in strips]), NUM_STEPS)
        said = ", ".join(f"z{strip.dim} (r = {strip.r:+.2f})" for strip in there)
        if run is runs[0]:
            said = ", ".join(f"z{strip.dim}" for strip in there) + ", the dimensions that carry most information"
        parts.append(_figure(image(drawn, f"Traversals of {names[run.name]}"), f"{names[run.name]}: rows {said}."))
    first = names[runs[0].name]
    note = (
        f"Rows at the same position belong together: each dimension is paired with one of {first} by the correlation r."
    )
    return [*parts, f'<p class="quiet">{escape(note)}</p>'] if len(runs) > 1 else parts


def sheet(images: np.ndarray, columns: int, gap: int = 2) -> bytes:
    """PNG of grey images (N, 1, 28, 28) or (N, 28, 28), in [0, 1] or uint8; gaps and NaN are transparent."""
    from PIL import Image

    images = np.asarray(images).reshape(-1, *np.shape(images)[-2:])
    solid = np.where(np.isnan(images), 0, 255).astype(np.uint8)
    if images.dtype != np.uint8:
        images = np.rint(np.nan_to_num(images).clip(0, 1) * 255).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(tile(np.stack([images, solid], axis=-1), columns, gap), "LA").save(file, "PNG", optimize=True)
    return file.getvalue()


def image(png: bytes, alt: str) -> str:
    """An <img> element with the PNG as data URI."""
    data = base64.b64encode(png).decode()
    width = 2 * int.from_bytes(png[16:20], "big")
    return f'<img src="data:image/png;base64,{data}" alt="{escape(alt)}" width="{width}">'


def _figure(inside: str, caption: str) -> str:
    return f"<figure>{inside}<figcaption>{escape(caption)}</figcaption></figure>"


# -- each of them ----------------------------------------------------------------------------------------------------


def _one(info: RunInfo, title: str, run) -> list[str]:
    state = info.state
    made = f"{info.epochs} epochs in {state.get('seconds', 0):,.0f} s on {state.get('device', '?')}"
    versions = found if isinstance(found := state.get("versions"), dict) else {}
    said = ", ".join([made, *(f"{name} {version}" for name, version in versions.items())])
    parts = [
        f'<h2 id="{escape(info.name)}">{escape(title)}</h2>',
        f'<p class="quiet"><code>{escape(info.name)}</code>, {escape(said)}.</p>',
        *_reproduce(info),
        *(_film(run, title) if run else _preview(info, title)),
    ]
    for dataset, values in info.metrics.items():
        found = numbers_of(info, dataset)
        rows = "".join(
            _row(number.title, comparison.value_text(name, found), number.signed_unit)
            for name in found
            for number in [describe(name, found)]
        )
        how = ", ".join(f"{key} {values[key]}" for key in ("images", "samples", "seed") if key in values)
        head = f"On the test images of {dataset} ({how})" if how else f"On the test images of {dataset}"
        table = f"<table><tr><th>metric</th><th>value</th><th>unit</th></tr>{rows}</table>"
        parts.append(f'<h3>{escape(head)}</h3><div class="wide">{table}</div>')
        if comparison.at_ceiling(found):
            parts.append(f'<p class="quiet">{escape(CEILING)}</p>')
    options = "".join(
        _row(f"{part}.{key}" if key else part, str(value))
        for part, fields in info.config.items()
        for key, value in (fields.items() if isinstance(fields, dict) else [("", fields)])
    )
    parts.append(f"<details><summary>Config</summary><table>{options}</table></details>")
    return parts


def _reproduce(info: RunInfo) -> list[str]:
    try:
        lines = [command(RunConfig.from_dict(info.config)), f"python -m aevae eval {info.fingerprint}"]
    except (ValueError, TypeError):
        return ['<p class="quiet">This program does not know all options of this run.</p>']
    return ["<h3>Commands that train and measure this run</h3>", f"<pre>{escape(chr(10).join(lines))}</pre>"]


def _film(run, title: str) -> list[str]:
    """Followed images, reconstructions and samples of the film's last frame, and its KL of each latent dimension."""
    film = run.film
    rows = np.concatenate([film["original"], film["recon"][-1], film["sample"][-1]])
    said = "Top: images that the film follows. Middle: their reconstructions. Bottom: images decoded from random codes."
    drawn = sheet(rows, len(film["original"]))
    parts = [_figure(image(drawn, f"Digits, reconstructions and samples of {title}"), said)]
    kl = comparison.film_kl(film)
    if kl is not None:
        order = np.argsort(-kl[-1], kind="stable")
        chart = latent_bars(kl[-1][order], [f"z{d}" for d in order], family=run.info.family)
        parts.append(
            _figure(to_svg(chart), "KL divergence of each dimension from its prior, mean over the images above.")
        )
    return parts


def _preview(info: RunInfo, title: str) -> list[str]:
    """The preview image of a model of sequences or pairs, which has no film."""
    path = info.path / "preview.png"
    png = path.read_bytes() if path.is_file() and path.stat().st_size < 1_000_000 else b""
    return [_figure(image(png, f"What {title} makes of test {info.traits['input']}s"), "")] if png else []


def _row(*cells: str) -> str:
    return "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>"


def _definitions(infos: Sequence[RunInfo]) -> list[str]:
    there = dict.fromkeys(name for info in infos for dataset in info.metrics for name in numbers_of(info, dataset))
    rows = "".join(_row(m.title, m.signed_unit, m.help, m.formula) for m in map(describe, there) if m.formula)
    head = "".join(f"<th>{text}</th>" for text in ("metric", "unit", "meaning", "formula (LaTeX)"))
    table = f'<table class="words"><tr>{head}</tr>{rows}</table>'
    return ["<h2>What the metrics mean</h2>", f'<div class="wide">{table}</div>']
