"""Where the passcode comes from: what was meant as a passcode and cannot be read closes the doors."""

import ast
import errno
import os
import re
import sys
from pathlib import Path

import pytest
from conftest import open_page

from aevae import paths
from aevae.ui.frame import access, menu, teacher
from aevae.ui.shared import cached

MISTYPED = {  # file -> what the page says of it
    "passcode = geheim": "Invalid value",
    "passcode = 0123": "Expected newline",
    "passcode = 'geheim": "Expected",
    'passcode = "geheim" "': "Expected newline",
    "passcode: geheim": "Expected '='",
    "passcode =": "Invalid value",
    'passcode = ""': "it is empty",
    'passcode = "  "': "it is empty",
    "passcode = true": "not a text",
    'passcode = ["geheim"]': "not a text",
    "passcode = 2026-11-30": "not a text",
    '[aevae]\npasscode = "geheim"': "the file has [aevae]",
    '[a.b]\nPASSCODE = "geheim"': "the file has [a]",
    'Passcode = "geheim"': "the file has Passcode",
    'pascode = "geheim"': "the file has pascode",
    'pass_code = "geheim"': "the file has pass_code",
    'teacher_passcode = "geheim"': "the file has teacher_passcode",
    'passcode_teacher = "geheim"': "the file has passcode_teacher",
    '[[teachers]]\npasscode = "geheim"': "the file has [teachers]",
    'teachers = [{passcode = "geheim"}]': "the file has [teachers]",
    '[aevae]\npascode = "geheim"': "the file has [aevae]",
    'AEVAE_PASSWORD = "geheim"': "the file has AEVAE_PASSWORD",
    'passwort = "geheim"': "the file has passwort",
    'code = "geheim"': "the file has code",
    b'passcode = "geh\xe9im"': "utf-8",
    'passcode = "geheim"'.encode("utf-16"): "utf-8",
    None: "",  # a link that leads nowhere
}


@pytest.fixture
def secrets_file(empty_store, monkeypatch, tmp_path):
    """The place of `secrets.toml`; what Streamlit has read is forgotten before and after."""
    from streamlit.runtime.secrets import secrets_singleton

    file, known = tmp_path / "secrets.toml", access.st.get_option
    monkeypatch.delenv("AEVAE_PASSCODE", raising=False)
    for module in (access.st, "streamlit.config"):
        target = module if not isinstance(module, str) else __import__(module, fromlist=["get_option"])
        monkeypatch.setattr(target, "get_option", lambda name: [str(file)] if name == "secrets.files" else known(name))
    secrets_singleton._reset()
    cached.runs.clear()
    yield file
    secrets_singleton._reset()


@pytest.mark.slow
@pytest.mark.parametrize("text", MISTYPED)
def test_a_passcode_that_cannot_be_read_closes_the_doors_and_says_so(secrets_file, text, capsys):
    if text is None:
        if sys.platform == "win32":
            pytest.skip("there, links need a permission")
        secrets_file.symlink_to("nowhere")
    else:
        secrets_file.write_bytes(text if isinstance(text, bytes) else text.encode())
    assert not access.is_teacher() and not access.may_handle([1])
    assert MISTYPED[text] in access.problem() and "geheim" not in access.problem()
    assert access.log_in("geheim", 5000) == access.log_in(access.passcode(), 6000) == access.problem()
    app = open_page("pages/lab/home.py")
    assert any("cannot be read" in box.value for box in app.warning) and not app.exception
    menu.announce()
    assert "WARNING: The passcode in secrets.toml cannot be read" in capsys.readouterr().err
    assert not any(e.key == "models_delete" and not e.disabled for e in open_page("pages/lab/models.py").button)


@pytest.mark.parametrize(
    ("text", "code"),
    [('passcode = "geheim"', "geheim"), ("passcode = 1234", "1234"), ('AEVAE_PASSCODE = "geheim"', "geheim"), ("", ""),
     ('[connections.db]\npassword = "x"', ""), ('[aevae]\ntitle = "x"', "")],
)  # fmt: skip
def test_a_passcode_that_can_be_read_is_read(secrets_file, monkeypatch, text, code):
    monkeypatch.setenv("AEVAE_PASSCODE", "x")  # Streamlit copies what stands in the file into the environment
    monkeypatch.delenv("AEVAE_PASSCODE")
    secrets_file.write_text(text, "utf-8")
    assert (access.passcode(), access.problem()) == (code, "") == (access.passcode(), access.problem())


def test_no_file_means_no_passcode_and_one_that_nobody_may_read_means_a_closed_door(secrets_file, monkeypatch):
    assert access.is_teacher() and access.problem() == ""
    (secrets_file.parent / "secrets.toml.txt").write_text('passcode = "geheim"', "utf-8")
    assert not access.is_teacher() and "must be called secrets.toml" in access.problem()
    (secrets_file.parent / "secrets.toml.txt").unlink()
    secrets_file.mkdir()  # to read it fails, whoever asks
    assert not access.is_teacher() and str(secrets_file) in access.problem()


@pytest.mark.parametrize("name", ["secret.toml", "Secrets.toml", "secrets.txt", "secrets", "secrets.toml.toml"])
def test_a_file_of_nearly_the_right_name_closes_the_doors(secrets_file, name):
    (secrets_file.parent / name).write_text('passcode = "geheim"', "utf-8")
    assert not access.is_teacher() and name in access.problem() and "geheim" not in access.problem()


@pytest.mark.parametrize("code", [errno.EACCES, errno.EPERM, errno.ELOOP, errno.EIO, errno.ESTALE, errno.ENAMETOOLONG])
@pytest.mark.parametrize("call", ["lstat", "listdir"])
def test_a_folder_that_cannot_be_entered_closes_the_doors(secrets_file, monkeypatch, call, code):
    real = getattr(os, call)

    def refused(path, *more):
        if str(secrets_file.parent) not in str(path):
            return real(path, *more)
        raise OSError(code, os.strerror(code), path)

    monkeypatch.setattr(os, call, refused)
    assert not access.is_teacher() and os.strerror(code) in access.problem()
    assert access.exposure_problem("localhost") == access.problem()


@pytest.mark.skipif(sys.platform == "win32", reason="links and permissions of POSIX")
@pytest.mark.parametrize("kind", ["a link to itself", "no permission"])
def test_a_real_folder_that_cannot_be_entered(secrets_file, monkeypatch, kind):
    if kind == "no permission" and os.getuid() == 0:
        pytest.skip("root may enter every folder")
    folder = secrets_file.parent / ".streamlit"
    if kind == "no permission":
        folder.mkdir(mode=0)
    else:
        folder.symlink_to(folder)
    known = access.st.get_option
    files = [str(folder / "secrets.toml")]
    monkeypatch.setattr(access.st, "get_option", lambda name: files if name == "secrets.files" else known(name))
    assert not access.is_teacher() and str(folder) in access.problem()


@pytest.mark.parametrize("value", ["", " ", "\t\n"])
def test_a_blank_variable_closes_the_doors_unless_the_file_has_the_passcode(secrets_file, monkeypatch, value):
    monkeypatch.setenv("AEVAE_PASSCODE", value)
    assert not access.is_teacher() and "AEVAE_PASSCODE is empty" in access.problem()
    assert access.log_in(value, 5000) == access.log_in("", 6000) == access.problem()
    assert access.exposure_problem("localhost") == access.problem()
    secrets_file.write_text('passcode = "geheim"', "utf-8")
    assert (access.passcode(), access.problem()) == ("geheim", "")


MISSPELT = (
    "AEVAE_PASSWORD", "AEVAE_PASSCOD", "AEVAE_PASS_CODE", "AEVAE_PASSKODE", "AEVAE_CODE", "AEVAE_PWD", "AEVAEPASSCODE",
    "AVAE_PASSCODE", "AEVAE_TEACHER_PASSCODE", "AEVAE_KENNWORT", "AEVAE_PASSCODE_", "VAE_PASSCODE",
)  # fmt: skip


@pytest.mark.parametrize("name", MISSPELT)
@pytest.mark.parametrize("value", ["geheim", ""])
def test_a_misspelt_variable_closes_the_doors(secrets_file, monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    assert not access.is_teacher() and f"{name} is not read" in access.problem() and "geheim" not in access.problem()
    monkeypatch.setenv("AEVAE_PASSCODE", "x")
    assert (access.passcode(), access.problem()) == ("x", "")


def test_no_other_variable_is_taken_for_the_passcode():
    folders = (paths.ROOT / place for place in ("aevae", "pages", "tests", "scripts", "benchmarks"))
    texts = [file.read_text("utf-8") for folder in folders for file in folder.rglob("*.py")]
    own = {name for text in texts for name in re.findall(r"\bAEVAE_[A-Z_]+\b", text)} - {"AEVAE_PASSCODE", *MISSPELT}
    own |= {"AEVAE_PACE", "AEVAE_ENCODER", "AEVAE_CODEBOOK", "AEVAE_DECODE"}
    others = {"PASSWORD_STORE_DIR", "PASSCODE", "VSCODE_PID", "PATH", "PWD", "SSH_ASKPASS", "PYTHONPATH", "DB_PASSWORD"}
    assert len(own) > 10 and not {name for name in own | others if access._is_meant_as_passcode(name)}


EXCEPT = {  # every `except` and `suppress` of these files: (function, errors) -> why it lets nobody in
    ("_read_passcode", "OSError"): "returns a passcode that nobody knows, and the problem",
    ("_read_passcode", "ValueError"): "returns a passcode that nobody knows, and the problem",
    ("_read_secrets", "OSError"): "raises ValueError",
    ("_exists", "(FileNotFoundError, NotADirectoryError)"): "there is no file",
    ("_misnamed", "(FileNotFoundError, NotADirectoryError)"): "there is no folder",
}


def test_no_error_opens_the_doors():
    found = []
    for module in (access, teacher):
        for function in ast.walk(ast.parse(Path(module.__file__).read_text("utf-8"))):
            if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
                for node in ast.walk(function):
                    if isinstance(node, ast.ExceptHandler):
                        found.append((function.name, ast.unparse(node.type) if node.type else "all"))
                    elif isinstance(node, ast.Name | ast.Attribute) and "suppress" in ast.unparse(node):
                        found.append((function.name, "suppress"))
    assert sorted(found) == sorted(EXCEPT)


def test_another_passcode_counts_at_once(secrets_file):
    for text, code in (('passcode = "a"', "a"), ('passcode = "b"', "b"), (None, ""), ('passcode = "c"', "c")):
        secrets_file.unlink() if text is None else secrets_file.write_text(text, "utf-8")
        assert access.passcode() == code
