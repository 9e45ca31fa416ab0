"""Mutation run: small changes of modules that touch disk, queue, address, optimizers or metrics, one at a time.

    python -m scripts.mutate [MODULE ...] [--mutants 36] [--seed 0] [--json FILE]

The mutants are a random sample of cosmic-ray's (`pip install cosmic-ray`) and of calls left out, one of each place.
The tests of the module run on a copy of the tracked files, for each mutant in a process that is forked from one that
has imported the libraries. The script prints each mutant that no test notices: the change does not matter, or a test is
missing. Mutants of modules that delete files or end processes belong into a container.
"""

import argparse
import ast
import difflib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from importlib import import_module
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FAULTS = ["test_faults_files", "test_faults", "test_faults_disks"]
QUEUE = ["test_jobs", "test_worker", "test_pace", "test_sweeps", "test_tasks"]
RUNS = ["test_runs", "test_damaged_runs"]
TESTS = {  # those first that notice most
    "aevae/store/files.py": [*FAULTS, *RUNS, "test_diverged"],
    "aevae/store/checkpoints.py": ["test_diverged", "test_best", *RUNS, *FAULTS],
    "aevae/store/recorder.py": ["test_diverged", "test_best", *RUNS, *FAULTS],
    "aevae/queue/queuefile.py": QUEUE,
    "aevae/queue/jobs.py": QUEUE,
    "aevae/queue/worker.py": [*QUEUE, "test_processes", "test_estimates"],
    "aevae/queue/pace.py": ["test_pace", "test_sweeps"],
    "aevae/queue/progress.py": ["test_estimates", *QUEUE],
    "aevae/queue/estimates.py": ["test_estimates"],
    "aevae/queue/processes.py": ["test_processes"],
    "aevae/ui/shared/address.py": ["test_kept", "test_links", "test_ui", "test_brush"],
    "aevae/ui/shared/url_values.py": ["test_kept", "test_links", "test_ui"],
    "aevae/training/optimizers.py": ["test_optimizers", "test_steps"],
    "aevae/exchange/run_archive.py": ["test_exchange", "test_hostile_files", "test_hostile_folders"],
    "aevae/embeddings/cache.py": ["test_embeddings", "test_embeddings_maps"],
    "aevae/metrics/annealed.py": ["test_metrics_annealed"],
    "aevae/metrics/basics.py": ["test_metrics_evaluation", "test_linear_ae", "test_skip_vae", "test_sparse_ae"],
    "aevae/metrics/bound.py": ["test_lab_elbo", "test_devices"],
    "aevae/metrics/class_densities.py": ["test_lab_classifier"],
    "aevae/metrics/classifier.py": ["test_metrics_samples"],
    "aevae/metrics/codes.py": ["test_metrics_evaluation"],
    "aevae/metrics/denoising.py": ["test_metrics_denoising", "test_metrics_evaluation", "test_page_denoise"],
    "aevae/metrics/disentanglement.py": ["test_metrics_factors", "test_metrics_evaluation"],
    "aevae/metrics/evaluation.py": ["test_metrics_evaluation", "test_spread", "test_tasks"],
    "aevae/metrics/evidence.py": ["test_spread", "test_metrics_evaluation", "test_lab_beta"],
    "aevae/metrics/geometry.py": ["test_contractive"],
    "aevae/metrics/interpolation.py": ["test_metrics_factors", "test_page_interpolate"],
    "aevae/metrics/jacobian.py": ["test_contractive", "test_metrics_evaluation"],
    "aevae/metrics/linear.py": ["test_linear_ae", "test_lab_pca"],
    "aevae/metrics/metric.py": ["test_metrics_evaluation", "test_metrics_samples", "test_comparison"],
    "aevae/metrics/neighbours.py": [
        "test_metrics_neighbours",
        "test_latent",
        "test_embeddings",
        "test_embeddings_maps",
    ],
    "aevae/metrics/nll.py": ["test_metrics_nll"],
    "aevae/metrics/reconstruction.py": ["test_lab_no_encoder", "test_page_denoise", "test_metrics_evaluation"],
    "aevae/metrics/samples.py": ["test_metrics_samples", "test_metrics_evaluation"],
    "aevae/metrics/score.py": ["test_lab_score"],
    "aevae/metrics/tangent.py": ["test_lab_contraction", "test_devices"],
    "aevae/metrics/toys.py": ["test_lab_score"],
    "aevae/metrics/units.py": ["test_skip_vae"],
}
SECONDS = 480
Place = tuple[int, int, str]  # line, column, "call" for a call left out
Mutant = Callable[[], str]


def calls_left_out(source: str) -> dict[Place, list[Mutant]]:
    """Place of each statement that is a call -> the source with `pass` there."""
    lines = source.splitlines(keepends=True)
    found = {}
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
            first, last = node.lineno - 1, node.end_lineno or node.lineno
            left_out = lines[first][: node.col_offset] + "pass" + lines[last - 1][node.end_col_offset :]
            code = "".join([*lines[:first], left_out, *lines[last:]])
            found[(node.lineno, node.col_offset, "call")] = [lambda code=code: code]
    return found


def places(source: str) -> dict[Place, list[Mutant]]:
    """Each place of a module that can be changed -> its mutants, as functions: a place has up to a dozen."""
    plugins = import_module("cosmic_ray.plugins")
    trees, mutate_code = import_module("cosmic_ray.ast"), import_module("cosmic_ray.mutating").mutate_code
    nodes = list(trees.ast_nodes(trees.get_ast(source)))
    found = calls_left_out(source)
    for name in plugins.operator_names():
        if plugins.get_operator(name).arguments():
            continue
        operator = plugins.get_operator(name)()
        starts = [start for node in nodes for start, _ in operator.mutation_positions(node)]
        for number, start in enumerate(starts):
            found.setdefault((*start, ""), []).append(partial(mutate_code, source, operator, number))
    return found


def sample(source: str, number: int, chance: random.Random) -> Iterator[str]:
    """Mutants of up to `number` places, one each, that compile and differ from the source in more than types."""
    every = places(source)
    for place in chance.sample(sorted(every), len(every)):
        if number and (code := _code(chance.choice(every[place]))) and _meaning(code) not in ("", _meaning(source)):
            number -= 1
            yield code


def _code(mutant: Mutant) -> str | None:
    try:
        return mutant()
    except AttributeError:  # cosmic-ray cannot replace `module.Error` in a tuple of exceptions
        return None


def _meaning(code: str) -> str:
    """The syntax tree without annotations; empty if the code does not compile."""
    try:
        tree = ast.parse(code)
    except SyntaxError:
        return ""
    for node in ast.walk(tree):
        if isinstance(node, ast.arg | ast.AnnAssign):
            node.annotation = ast.Constant(None)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            node.returns = None
    return ast.dump(tree)


def passes(copy: Path, tests: list[str], seconds: float = SECONDS) -> bool:
    """Whether these test files pass on this copy, each in a process of its own and within so many seconds."""
    return all(_passes(copy, test, seconds) for test in tests)


def _passes(copy: Path, test: str, seconds: float) -> bool:
    child = os.fork()
    if child == 0:
        os.setsid()
        out = os.open(copy / "output", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(out, 1)
        os.dup2(out, 2)
        os.chdir(copy)
        sys.path[:0] = [str(copy), str(copy / "tests")]
        import pytest

        arguments = ["-q", "-x", "-n0", "-p", "no:cacheprovider", "-m", "not browser and not slow", "--no-header"]
        os._exit(int(pytest.main([*arguments, f"tests/{test}.py"])))
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            os.killpg(child, signal.SIGKILL) if _group_lives(child) else None
            return os.waitstatus_to_exitcode(status) in (0, 5)  # 5: all tests of the file are slow
        time.sleep(0.05)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return False


def _group_lives(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def run(module: str, number: int, seed: int) -> dict:
    """The mutants of one module: how many, and the differences of those that no test noticed."""
    source = (ROOT / module).read_text("utf-8")
    chosen = list(sample(source, number, random.Random(f"{seed} {module}")))
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "copy"
        files = subprocess.run(["git", "ls-files"], cwd=ROOT, encoding="utf-8", capture_output=True, check=True).stdout
        for name in files.splitlines():
            if (ROOT / name).is_file():
                (copy / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, copy / name)
        start = time.monotonic()
        if not passes(copy, TESTS[module]):
            raise SystemExit(
                f"{module}: the tests fail without a mutant.\n"
                + (copy / "output").read_text("utf-8", "replace")[-3000:]
            )
        seconds = 30 + 3 * (time.monotonic() - start)  # some mutants wait for ever
        survivors = []
        for code in chosen:
            (copy / module).write_text(code, "utf-8")
            if passes(copy, TESTS[module], seconds):
                parts = source.splitlines(), code.splitlines(), module, module
                survivors.append("\n".join(difflib.unified_diff(*parts, n=1, lineterm="")))
                print(survivors[-1], flush=True)
        (copy / module).write_text(source, "utf-8")
    return {"module": module, "places": len(places(source)), "tried": len(chosen), "survived": survivors}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("modules", nargs="*", default=list(TESTS), metavar="MODULE", help="default: all")
    parser.add_argument("--mutants", type=int, default=36, help="of each module (default: 36)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, metavar="FILE")
    args = parser.parse_args()
    os.environ |= {"OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    import numpy  # noqa: F401  (imported once, for all forks)
    import pytest  # noqa: F401
    import safetensors.torch  # noqa: F401
    import streamlit.testing.v1  # noqa: F401
    import torch  # noqa: F401

    results = []
    for module in args.modules:
        results.append(result := run(module, args.mutants, args.seed))
        killed = result["tried"] - len(result["survived"])
        print(f"{module}: {killed} of {result['tried']} noticed ({result['places']} places)", flush=True)
    if args.json:
        args.json.write_text(json.dumps(results, indent=1), "utf-8")


if __name__ == "__main__":
    main()
