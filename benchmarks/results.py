"""Results files: tables of measurements with command, date, commit and machine.

    python -m benchmarks.results            # write the tables of README.md and docs/*.md from the results files

A benchmark ends with `save(name, columns, rows)`, which writes `benchmarks/results/<name>.json` and prints the table.
Between `<!-- results: NAME -->` and `<!-- end -->` a page shows that table; several names join tables of one kind.
"""

import argparse
import importlib.metadata
import json
import math
import os
import platform
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from aevae.paths import ROOT
from scripts.make_docs import documents

FOLDER = ROOT / "benchmarks" / "results"
BLOCK = re.compile(r"(<!-- results: ([\w ]+) -->\n).*?(<!-- end -->)", re.DOTALL)
KEYS = ("command", "date", "commit", "machine", "columns", "rows")


def save(name: str, columns: Mapping[str, str], rows: Iterable[Sequence], folder: Path = FOLDER) -> dict:
    """Write results/<name>.json and print each row as soon as it is measured. Returns the written data.

    columns: head with the unit -> format of a number ("" for text); rows: a cell for each column: a number, a text,
    (number, its standard deviation or None), or None for a number that does not exist.
    """
    origins = {"command": command(), "date": time.strftime("%Y-%m-%d"), "commit": commit(), "machine": machine()}
    result = {**origins, "columns": dict(columns), "rows": []}
    print(*_head(columns), sep="\n", flush=True)
    for row in rows:
        result["rows"].append(list(row))
        print(_row(row, columns), flush=True)
    print(f"\n{origin(result)}", flush=True)
    folder.mkdir(exist_ok=True)
    text = json.dumps({**result, "rows": None}, indent=1, ensure_ascii=False)
    lines = ",\n  ".join(json.dumps(row, ensure_ascii=False) for row in result["rows"])
    (folder / f"{name}.json").write_text(text.replace('"rows": null', f'"rows": [\n  {lines}\n ]') + "\n", "utf-8")
    return result


def load(name: str, folder: Path = FOLDER) -> dict:
    """A results file."""
    return json.loads((folder / f"{name}.json").read_text("utf-8"))


def table(results: Sequence[Mapping]) -> str:
    """The markdown table of results that have the same columns, and a line with the origin of each."""
    columns = results[0]["columns"]
    if any(result["columns"] != columns for result in results):
        raise ValueError("only results with the same columns make one table")
    rows = [_row(row, columns) for result in results for row in result["rows"]]
    return "\n".join([*_head(columns), *rows, "", *map(origin, results)]) + "\n"


def _head(columns: Mapping[str, str]) -> list[str]:
    return [_line(columns), "|" + "---|" * len(columns)]


def _row(row: Sequence, columns: Mapping[str, str]) -> str:
    return _line(_cell(value, form) for value, form in zip(row, columns.values(), strict=True))


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(value, form: str) -> str:
    if value is None:
        return "–"
    if isinstance(value, list | tuple):
        return with_error(*value, form)
    return format(value, form) if isinstance(value, int | float) else str(value).replace("|", "∣")


def with_error(value: float, error: float | None, form: str = "") -> str:
    """`value ± error`, rounded to the first digit of the error, or to two digits if the first is 1.

    Without an error (None, 0): the value in its own format. A format that ends with % applies to both.
    """
    if not error:
        return format(value, form)
    percent = form.endswith("%")
    shown = 100 * error if percent else error
    exponent = math.floor(math.log10(shown))
    first = round(shown / 10**exponent, 9)
    digits = max(0, -exponent + (first < 2))
    return f"{value:.{digits}{'%' if percent else 'f'}} ± {error:.{digits}{'%' if percent else 'f'}}"


def origin(result: Mapping) -> str:
    """One sentence: command, date, commit and machine."""
    m = result["machine"]
    where = ", ".join(filter(None, (m["cpu"], f"{m['cores']} cores", m["gpu"], f"torch {m['torch']}")))
    return f"`{result['command']}`, {result['date']}, commit `{result['commit']}`, {where}."


def command() -> str:
    """The command line of this process, as one types it."""
    main = getattr(sys.modules["__main__"], "__spec__", None)
    start = ["python", "-m", main.name] if main else ["python", Path(sys.argv[0]).name]
    return shlex.join([*start, *sys.argv[1:]])


def commit() -> str:
    """The commit of the working tree, with "+" if program files are modified; "unknown" without git."""
    try:
        git = lambda *words: subprocess.run(  # noqa: E731
            ["git", *words], cwd=ROOT, capture_output=True, encoding="utf-8", check=True
        ).stdout.strip()
        program = ("aevae", "benchmarks", ":!benchmarks/results")
        changed = git("status", "--porcelain", "--untracked-files=no", "--", *program)
        return git("rev-parse", "--short=10", "HEAD") + ("+" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def machine() -> dict:
    """{"cpu", "cores", "gpu", "os", "python", "torch"} of this machine; gpu: "" without one."""
    return {
        "cpu": _cpu(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "gpu": _gpu(),
        "os": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "torch": importlib.metadata.version("torch"),
    }


def _cpu() -> str:
    try:
        found = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text(encoding="utf-8"))
    except OSError:
        found = None
    return found[1].strip() if found else platform.processor() or platform.machine()


def _gpu() -> str:
    import torch

    from aevae.training.device import pick_device

    return torch.cuda.get_device_name() if pick_device().type == "cuda" else ""


def fill(text: str, folder: Path = FOLDER) -> str:
    """`text` with the tables between its markers replaced by those of the results files.

    Raises FileNotFoundError for a marker without a results file.
    """
    return BLOCK.sub(lambda m: f"{m[1]}{table([load(name, folder) for name in m[2].split()])}{m[3]}", text)


def main() -> None:
    argparse.ArgumentParser(prog="python -m benchmarks.results", description=__doc__.splitlines()[0]).parse_args()
    for page in documents():
        before = page.read_text("utf-8")
        after = fill(before)
        if after != before:
            page.write_text(after, "utf-8")
            print(f"{page.relative_to(ROOT)}: {len(BLOCK.findall(after))} tables")


if __name__ == "__main__":
    main()
