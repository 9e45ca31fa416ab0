"""Messages of the command line: help, and refusals with one sentence and exit code 2."""

import argparse
import subprocess
import sys

import numpy as np
import pytest
from cli_helpers import TINY, call, error_message, json_output

from aevae import paths, runs
from aevae.cli.parser import build_parser


@pytest.mark.parametrize(
    ("problem", "words"), [(MemoryError(), "out of memory"), (OSError(28, "No space left on device"), "disk is full")]
)
def test_what_nobody_foresaw_is_one_sentence_too(empty_store, capsys, monkeypatch, problem, words):
    def fails(*args, **options):
        raise problem

    monkeypatch.setattr(runs, "train_or_load", fails)
    out, err = call(capsys, "train", "--family", "ae", *TINY, code=1)
    assert out == "" and err.startswith("aevae: ") and words in err and err.count("\n") == 1


@pytest.mark.parametrize(
    ("script", "name"),
    [
        ("/x/bin/aevae", "aevae"),
        ("C:/x/Scripts/aevae.exe", "aevae"),
        ("/x/aevae/__main__.py", "python -m aevae"),
    ],
)
def test_usage_and_messages_name_the_command_that_was_called(script, name):
    code = f"import sys; sys.argv[0] = {script!r}; from aevae import cli; sys.exit(cli.main(sys.argv[1:]))"
    ends = [subprocess.run([sys.executable, "-c", code, *args], capture_output=True, encoding="utf-8", cwd=paths.ROOT)
            for args in (["train", "--help"], ["show", "nothing"])]  # fmt: skip
    assert ends[0].stdout.startswith(f"usage: {name} train ") and f"`{name} runs` lists" in ends[1].stderr


def test_help_explains_every_option_and_gives_its_default():
    (commands,) = [a for a in build_parser()._actions if isinstance(a, argparse._SubParsersAction)]
    assert all(choice.help for choice in commands._choices_actions)
    for name, command in commands.choices.items():
        for action in command._actions:
            assert action.help, (name, action.dest)
            if action.default not in (None, False, argparse.SUPPRESS) and action.default != []:
                assert f"default: {action.default}" in action.help, (name, action.dest)
            command._get_formatter()._expand_help(action)  # raises for a % sign


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ("train", "--family"),
        ("train --family gan", "family must be one of ae, linear_ae, "),
        ("train --family vae --set bta=4", "unknown option 'bta'"),
        ("train --family vae --set beta=4", "unknown option 'beta'"),
        ("train --family vae --beta 4", "unknown option 'beta'"),
        ("train --family vae --set beta", "key=value"),
        ("train --family vae --epochs 0", "epochs must be in 1..1000, got 0"),
        ("train --family vae --epochs ten", "epochs must be a number, got 'ten'"),
        ("train --family vae --seed -1", "seed must be a whole number"),
        ("train --family vae --seed x", "--seed must be a whole number in 0..2147483647, got x"),
        ("train --family vae --dataset cifar", "cifar"),
        ("train --family vae --dataset images:/nowhere", "/nowhere"),
        ("train --family vae --preset slow", "invalid choice"),
        ("sweep --family vae --set latent_dim=2,x", "latent_dim must be a number, got 'x'"),
        ("sweep --family vae --set latent_dim=2,0", "latent_dim must be in 1..784, got 0"),
        ("sweep --family vae --seeds 0", "a sweep may have 1..1000 runs, these lists give 0"),
        ("sweep --family vae --set hidden=1,2,3,4,5 --seeds 201", "these lists give 1005"),
        ("train --family vae --device tpu --epochs 1", "device must be one of"),
        ("eval nothing", "no run 'nothing'"),
        ("show ..", "no run '..'"),
        ("delete vae", "no run 'vae'"),
        ("export nothing", "no run"),
        ("export RUN --format pickle", "invalid choice"),
        ("eval RUN --metrics fid", "metric must be one of"),
        ("eval AE --metrics kl", "ae has no kl"),
        ("eval RUN --samples 0", "--samples must be a whole number in 1..2147483647, got 0"),
        ("eval RUN --n -1", "--n/--limit must be a whole number in 0..2147483647, got -1"),
        ("embed RUN --n 2 --out x.npz", "--n must be in 21..1000, got 2"),
        ("embed RUN --method lda --out x.npz", "invalid choice"),
        ("encode RUN --in nowhere.npy --out z.npy", "no file nowhere.npy"),
        ("encode RUN --in README.md --out z.npy", "not a .npy array"),
        ("import README.md", "not a zip file"),
        ("import nowhere.zip", "nowhere.zip"),
        ("dance", "invalid choice"),
        ("eval RUN --seed -1", "--seed must be a whole number in 0..2147483647, got -1"),
        ("worker --device cuda:99 --once", "cuda:99 is not available"),
        ("", "required"),
    ],
)
def test_refusals(store, capsys, monkeypatch, args, words):
    words_in = args.replace("RUN", store["vae"]).replace("AE", store["ae"]).split()
    monkeypatch.chdir(paths.ROOT)
    assert words in error_message(capsys, *words_in)


@pytest.mark.parametrize("shape", [(4, 28, 28), (4, 3)])
def test_wrong_arrays(store, capsys, tmp_path, shape):
    np.save(tmp_path / "x.npy", np.zeros(shape, np.float32))
    assert "takes arrays" in error_message(
        capsys, "encode", store["vae"], "--in", tmp_path / "x.npy", "--out", tmp_path / "z"
    )


def test_wrong_numbers(store, capsys, tmp_path):
    np.save(tmp_path / "x.npy", np.full((1, 1, 28, 28), 200.0))
    args = ("encode", store["vae"], "--in", tmp_path / "x.npy", "--out", tmp_path / "z.npy")
    assert "images must be in 0..1" in error_message(capsys, *args)
    np.save(tmp_path / "x.npy", np.array(["digit"]))
    assert "must hold numbers" in error_message(capsys, *args)
    np.save(tmp_path / "x.npy", np.array([object()]), allow_pickle=True)
    assert "not a .npy array" in error_message(capsys, *args)


def test_a_damaged_run_is_refused(store, capsys):
    (paths.runs_dir() / store["vae"] / "model.safetensors").write_bytes(b"x")
    assert "damaged" in error_message(capsys, "eval", store["vae"])
    (row,) = [r for r in json_output(capsys, "runs")["runs"] if r["run"] == store["vae"]]
    assert row["status"] == "damaged" and row["reason"] and row["numbers"] is not None


def test_who_reads_no_further_gets_no_error():
    command = [sys.executable, "-m", "aevae", "runs"]
    process = subprocess.Popen(command, cwd=paths.ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.close()
    assert process.stderr.read() == b"" and process.wait() == 0
    process.stderr.close()


def test_progress_is_for_terminals_and_printed_when_it_changes(monkeypatch, capsys):
    from aevae.cli import console

    say = console.progress_line()
    say(0.5, "half")
    assert capsys.readouterr().err == "", "a log is no terminal"
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    for part in (0.5, 0.501, 0.504, 0.51):
        say(part, "half")
    assert capsys.readouterr().err.split() == ["51%", "half"]
