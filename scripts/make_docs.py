"""Writes the generated parts of README.md and docs/*.md.

    python -m scripts.make_docs            # write the parts
    python -m scripts.make_docs --check    # exit code 1 and the names of outdated pages

Part NAME of a page is between `<!-- generated: NAME -->` and `<!-- end -->`. `python -m benchmarks.results` writes the
tables of measurements.
"""

import argparse
import ast
import dataclasses
import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from aevae.paths import PACKAGE, ROOT

BLOCK = re.compile(r"(<!-- generated: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def table(head: Sequence[str], rows: Iterable[Sequence]) -> str:
    """A Markdown table; a vertical bar in a cell becomes ∣."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(str(cell).replace('|', '∣') for cell in line)} |\n" for line in lines)


def sentence(doc: str | None) -> str:
    """The first line of a docstring, with Markdown and HTML characters outside of code spans escaped."""
    parts = (doc or "").strip().partition("\n")[0].split("`")
    return "`".join(part if i % 2 else re.sub(r"[<*_]", r"\\\g<0>", part) for i, part in enumerate(parts))


# -- architecture ----------------------------------------------------------------------------------------------------


def modules() -> dict[str, Path]:
    """Dotted name -> file of every module; app.py and the pages are `app` and `pages.<section>.<file>`."""
    files = [*PACKAGE.rglob("*.py"), ROOT / "app.py", *(ROOT / "pages").rglob("*.py")]
    found = {}
    for file in sorted(files):
        parts = file.relative_to(PACKAGE.parent if file.is_relative_to(PACKAGE) else ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = file
    return found


def imports(file: Path, known: Iterable[str]) -> set[str]:
    """The modules among `known` that a file imports, also inside functions, but not only for type checkers."""
    tree, found = ast.parse(file.read_text("utf-8")), set()
    skipped = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            inside = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= inside & set(known) or {node.module}
    return found & set(known)


def module_imports() -> dict[str, set[str]]:
    """Module -> modules that it imports, without `aevae` itself."""
    files = modules()
    return {name: imports(file, files) - {name, "aevae"} for name, file in files.items()}


def rooms() -> tuple[dict[str, str], dict[str, set[str]]]:
    """(module -> room, room -> rooms that it imports).

    Rooms are the folders of `aevae` and of `aevae/ui`, and each single module of `aevae` that imports a folder. The
    other single modules form the room `base`.
    """
    files, needs = modules(), module_imports()
    loose = {name for name in files if name.count(".") == 1 and files[name].name != "__init__.py"}
    loose = {name for name in loose if name.startswith("aevae.")} - {"aevae.__main__"}
    base = set(loose)
    while outside := {name for name in base if needs[name] - base}:
        base -= outside

    def room(name: str) -> str:
        parts = name.split(".")
        if name in base:
            return "base"
        if parts[0] != "aevae" or len(parts) == 2:
            return parts[0] if parts[0] != "aevae" else parts[1]
        deep = parts[1] == "ui" and (len(parts) > 3 or files[name].name == "__init__.py")
        return f"ui/{parts[2]}" if deep and len(parts) > 2 else parts[1]

    of = {name: room(name) for name in files if name not in ("aevae", "aevae.__main__")}
    arrows: dict[str, set[str]] = {r: set() for r in of.values()}
    for name, r in of.items():
        arrows[r] |= {of[other] for other in needs[name] if other in of} - {r}
    return of, arrows


def reachable(arrows: dict[str, set[str]], start: str) -> set[str]:
    """Every room that `start` imports, directly or through others."""
    found, left = set(), list(arrows[start])
    while left:
        room = left.pop()
        if room not in found:
            found.add(room)
            left += arrows[room]
    return found


def circles(arrows: dict[str, set[str]]) -> list[list[str]]:
    """Groups of rooms that import each other."""
    below = {room: reachable(arrows, room) for room in arrows}
    groups = {tuple(sorted({r for r in below[room] if room in below[r]} | {room})) for room in arrows}
    return sorted(list(group) for group in groups if len(group) > 1)


def drawing() -> str:
    """A Mermaid drawing with an arrow from a room to each room that it imports, unless a longer path leads there."""
    _, arrows = rooms()
    below = {room: reachable(arrows, room) for room in arrows}
    number = {room: f"r{i}" for i, room in enumerate(sorted(arrows))}
    lines = ["```mermaid", "flowchart TD"]
    lines += [f'    {number[room]}["{room}"]' for room in sorted(arrows)]
    for room in sorted(arrows):
        for other in sorted(arrows[room]):
            between = arrows[room] - {other}
            if room in below[other] or not any(other in below[r] and r not in below[other] for r in between):
                lines.append(f"    {number[room]} {'-.->' if room in below[other] else '-->'} {number[other]}")
    found = circles(arrows)
    total = sum(map(len, arrows.values()))
    said = "; ".join(", ".join(group) for group in found) or "none"
    end = f"{len(arrows)} rooms, {total} imports between rooms. Circles (dotted): {said}."
    return "\n".join([*lines, "```", "", end, ""])


def house() -> str:
    """A table of all rooms: contents and imports."""
    of, arrows = rooms()
    files = modules()
    rows = []
    for room in sorted(arrows):
        members = sorted(name for name, r in of.items() if r == room)
        package = next((n for n in members if files[n].name == "__init__.py"), members[0])
        if room in ("base", "pages") or (len(members) > 1 and files[package].name != "__init__.py"):
            text = ", ".join(f"`{name.rpartition('.')[2]}`" for name in members)
        else:
            text = sentence(ast.get_docstring(ast.parse(files[package].read_text("utf-8"))))
        rows.append((f"`{room}`", len(members), text, ", ".join(sorted(arrows[room])) or "–"))
    return table(("room", "modules", "contains", "imports"), rows)


# -- families, models, numbers, data, pages --------------------------------------------------------------------------


def families() -> str:
    """A table of all families: objective, source, networks."""
    from aevae.figures.palette import family_title
    from aevae.models import FAMILIES, family_class

    rows = []
    for name in FAMILIES:
        family = family_class(name)
        fields = {f.name: f for f in dataclasses.fields(family.Config)}
        networks = fields["network"].metadata["choices"] if "network" in fields else ()
        rows.append((f"`{name}`", family_title(name), family.objective, family.paper, ", ".join(networks) or "its own"))
    return table(("`--family`", "title", "objective (nats per image, minimised)", "source", "networks"), rows)


def options() -> str:
    """Tables of each family's options that its parent lacks or has with another default."""
    from aevae.models import FAMILIES, family_class

    names = {family_class(name).Config: name for name in FAMILIES}
    parts = []
    for config, name in names.items():
        parent = next((c for c in config.__mro__[1:] if c in names), None)
        known = {f.name: f.default for f in dataclasses.fields(parent)} if parent else {}
        rows = [
            (f"`{f.name}`", shown(f.default), limits(f.metadata), sentence(f.metadata.get("help", "")))
            for f in dataclasses.fields(config)
            if f.name not in known or known[f.name] != f.default
        ]
        parent_text = f"Options of `{names[parent]}`, and:\n\n" if parent else ""
        body = table(("option", "default", "values", "meaning"), rows) if rows else "The options of its parent.\n"
        parts.append(f"### `{name}`\n{parent_text}{body}")
    return "\n".join(parts)


def common() -> str:
    """Tables of the options of training and data, which all families share."""
    from aevae.config import DataConfig, TrainConfig

    rows = [
        (
            f"`{'dataset' if f.name == 'name' else f.name}`",
            shown(f.default),
            limits(f.metadata),
            sentence(f.metadata["help"]),
        )
        for config in (DataConfig, TrainConfig)
        for f in dataclasses.fields(config)
        if f.name != "digest"
    ]
    return table(("option", "default", "values", "meaning"), rows)


def shown(value) -> str:
    """A default in the syntax of the command line."""
    return str(value).lower() if isinstance(value, bool) else f"{value:.4g}" if isinstance(value, float) else str(value)


def limits(metadata) -> str:
    """The values of an option, in short."""
    if choices := metadata.get("choices"):
        return ", ".join(map(shown, choices))
    low, high = metadata.get("min"), metadata.get("max")
    return "" if low is None and high is None else f"{shown(low)} to {shown(high)}"


def models() -> str:
    """A table of all shipped runs, from their files."""
    from aevae.reporting import comparison
    from aevae.store.checkpoints import read_run

    folders = sorted(f for f in (ROOT / "checkpoints" / "pretrained").iterdir() if f.is_dir())
    runs = [read_run(folder) for folder in folders]
    titles = comparison.titles(runs)
    rows = []
    for run in runs:
        error = run.metrics.get(run.dataset, {}).get("sse")
        rows.append(
            (titles[run.name], f"`{run.fingerprint}`", run.dataset, run.epochs,
             "–" if error is None else f"{error:.2f}", f"{run.size / 1e6:.1f}")
        )  # fmt: skip
    return table(("model", "run", "data set", "epochs", "squared error per image", "size (MB)"), rows)


def metrics() -> str:
    """A table of all metrics: name, unit, direction, cost."""
    from aevae.metrics import METRICS

    rows = [(f"`{m.name}`", m.title, m.unit, m.better or "–", m.cost, sentence(m.help)) for m in METRICS.values()]
    return table(("name", "title", "unit", "better", "cost", "note"), rows)


def datasets() -> str:
    """A table of all named data sets."""
    from aevae.datasets import SOURCES

    rows = []
    for source in SOURCES.values():
        facts = source.facts()
        rows.append((f"`{facts['name']}`", facts["source"], facts["licence"], facts["size"]))
    return table(("name", "source", "licence", "size"), rows)


def pages() -> str:
    """A table of all pages and their questions."""
    from aevae.ui.frame.menu import all_pages

    return table(("page", "question"), ((page.title, page.question) for page in all_pages()))


def results() -> str:
    """A table of all results files: origin, and the page that shows it."""
    texts = {page: page.read_text("utf-8") for page in documents()}
    rows = []
    for file in sorted((ROOT / "benchmarks" / "results").glob("*.json")):
        raw = json.loads(file.read_text("utf-8"))
        mark = re.compile(rf"<!-- results: (\w+ )*{file.stem}( \w+)* -->")
        where = [page for page, text in texts.items() if mark.search(text)]
        links = ", ".join(f"[{page.stem}]({page.name})" for page in where) or "–"
        machine = ", ".join(
            filter(None, (raw["machine"]["cpu"], f"{raw['machine']['cores']} cores", raw["machine"]["gpu"]))
        )
        rows.append(
            (f"`{file.stem}`", f"`{shortened(raw['command'])}`", raw["date"], f"`{raw['commit']}`", machine, links)
        )
    return table(("results file", "command", "date", "commit", "machine", "shown in"), rows)


def shortened(command: str, most: int = 80) -> str:
    return command if len(command) <= most else command[: most - 4] + " ..."


PARTS = {
    part.__name__: part
    for part in (drawing, house, families, common, options, models, metrics, datasets, pages, results)
}  # fmt: skip


def documents() -> list[Path]:
    """The pages that may have generated parts."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def fill(text: str) -> str:
    """`text` with up-to-date generated parts. Raises KeyError for an unknown part."""
    return BLOCK.sub(lambda m: m[1] + PARTS[m[2]]() + m[3], text)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if a page is out of date")
    args = parser.parse_args()
    stale = {page: new for page in documents() if (new := fill(old := page.read_text("utf-8"))) != old}
    for page, text in stale.items():
        print(f"{page.relative_to(ROOT)}: {'out of date' if args.check else 'written'}")
        if not args.check:
            page.write_text(text, "utf-8")
    return 1 if args.check and stale else 0


if __name__ == "__main__":
    raise SystemExit(main())
