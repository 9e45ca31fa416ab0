"""The passcode: permissions with and without it, and delays after wrong tries."""

import pytest
from conftest import open_page, tiny_config
from file_helpers import write_run
from streamlit.testing.v1 import AppTest

from aevae import runs
from aevae.queue import jobs
from aevae.store import checkpoints
from aevae.ui import internals
from aevae.ui.frame import access, class_panel, menu, teacher, visibility
from aevae.ui.shared import cached

CODE = "four swans"
TRIES = (("a", 0), ("b", 0.5), ("b", 1.1), ("c", 2.5), (CODE, 2.9), (CODE, 3.2))


@pytest.fixture
def guarded(empty_store, monkeypatch):
    monkeypatch.setenv("AEVAE_PASSCODE", CODE)
    monkeypatch.setattr(jobs, "ensure_worker", lambda lane="auto": None)
    access._tries.clear()
    cached.runs.clear()
    return empty_store


def page(path: str = "pages/lab/train.py", **link: str) -> AppTest:
    return open_page(path, **link)


def come_in(app: AppTest, code: str = CODE) -> AppTest:
    return app.text_input(key="gate_code").set_value(code).run()


def keys(app: AppTest) -> set[str]:
    return {button.key for button in app.button}


def test_without_a_passcode_there_is_no_door_and_everybody_may_all(empty_store, monkeypatch):
    monkeypatch.delenv("AEVAE_PASSCODE", raising=False)
    app = page()
    assert "gate_code" not in {box.key for box in app.text_input} and not app.exception
    assert access.is_teacher() and access.may_train(99) == "" and access.may_handle([1, 2, 3])


def test_a_session_queues_one_run_and_the_teacher_as_many_as_wanted(guarded):
    app = page()
    app.button(key="train_start").click().run()
    assert len(jobs.jobs()) == 1 and not app.error
    app.number_input(key="train_latent_dim").set_value(7).run()
    app.button(key="train_start").click().run()
    assert [e.value for e in app.error] == [
        "Each person may have one run in the queue. Wait until it ends, or cancel it."
    ]
    assert len(jobs.jobs()) == 1
    come_in(app).button(key="train_start").click().run()
    assert len(jobs.jobs()) == 2 and not app.error


def test_one_cancels_ones_own_and_the_teacher_everybodys(guarded):
    others = jobs.submit(tiny_config("ae"))
    app = page()
    button = f"train_cancel_{others.id}" if f"train_cancel_{others.id}" in keys(app) else "train_cancel"
    assert app.button(key=button).disabled
    app.button(key="train_start").click().run()
    (mine,) = (job for job in jobs.jobs() if job.id != others.id)
    app.button(key="train_cancel").click().run()
    assert jobs.get(mine.id).state == "cancelled" and jobs.get(others.id).state == "queued"
    come_in(app)
    button = f"train_cancel_{others.id}" if f"train_cancel_{others.id}" in keys(app) else "train_cancel"
    app.button(key=button).click().run()
    assert jobs.get(others.id).state == "cancelled"


def test_a_button_that_is_pressed_all_the_same_does_nothing(guarded):
    """A browser can send what the page would not."""
    others = jobs.submit(tiny_config("ae"))
    code = "from aevae.queue import jobs\nfrom aevae.ui.train.jobs import apply_action\nimport streamlit as st\n"
    app = AppTest.from_string(code + f"apply_action(jobs.cancel, {others.id})\nst.text(st.session_state.train_problem)")
    assert app.run().text[0].value == "Only the teacher may do this. Enter the passcode under Teacher in the menu."
    assert jobs.get(others.id).state == "queued"


def test_the_teacher_locks_training(guarded):
    teacher, student = come_in(page()), page()
    teacher.toggle(key="gate_lock").set_value(True).run()
    assert jobs.locked()
    student.button(key="train_start").click().run()
    assert [e.value for e in student.error] == [
        "The teacher has locked the training. Ask the teacher to unlock it."
    ] and not jobs.jobs()
    teacher.button(key="train_start").click().run()
    assert len(jobs.jobs()) == 1
    teacher.toggle(key="gate_lock").set_value(False).run()
    assert not jobs.locked()
    student.button(key="train_start").click().run()
    assert not student.error


def test_deleting_and_importing_ask_for_it(guarded):
    name = runs.train_or_load(tiny_config("ae")).name
    cached.runs.clear()
    assert access.refusal() in [i.value for i in page("pages/lab/models.py", view="Import").info]
    app = page("pages/lab/models.py", run=name)
    assert app.button(key="models_delete").disabled
    come_in(app)
    assert not app.button(key="models_delete").disabled
    app.button(key="models_delete").click().run()
    assert checkpoints.finished_run(name) is None


def test_wrong_tries_wait_longer_each_time(guarded):
    said = [access.log_in(word, 1000 + at).partition(". ")[0] for word, at in TRIES]
    wrong, wait = "This passcode is wrong", "Too many wrong passcodes"
    assert said == [wrong, wait, wrong, wait, wait, ""]
    assert not access._tries


def test_leaving_and_another_code(guarded, monkeypatch):
    app = come_in(page())
    assert "gate_leave" in keys(app)
    monkeypatch.setenv("AEVAE_PASSCODE", "another one")
    app.run()
    assert "gate_leave" not in keys(app), "the code was changed: said again"
    monkeypatch.setenv("AEVAE_PASSCODE", CODE)
    app.run().button(key="gate_leave").click().run()
    assert "gate_leave" not in keys(app)


@pytest.mark.parametrize(
    ("address", "code", "said"),
    [
        ("0.0.0.0", "", True),
        ("", "", True),
        ("localhost", "", False),
        ("127.0.0.1", "", False),
        ("0.0.0.0", "x", False),
    ],
)
def test_an_open_server_says_so(monkeypatch, address, code, said):
    monkeypatch.setenv("AEVAE_PASSCODE", code or "x")
    if not code:
        monkeypatch.delenv("AEVAE_PASSCODE")
    assert bool(access.exposure_problem(address)) is said


def test_a_thousand_wrong_passcodes_still_make_one_wait(guarded):
    access._tries[str(None)] = (5000, 0.0)
    assert access.log_in("wrong", 10_000) and access.log_in("wrong", 10_001).startswith("Too many")


def test_logging_out_ends_every_tab_of_the_browser(guarded, monkeypatch):
    """Two tabs logged in; the second cookie took the place of the first."""
    first, second = (teacher.admit(access.passcode()) for _tab in range(2))
    teacher.join(second[0], first[0])
    for left in (first, second):
        assert teacher.is_admitted(left[0], access.passcode())
    monkeypatch.setattr(teacher, "from_cookie", lambda: second[0])
    access.st.session_state[access._TEACHER] = first[0]
    access.log_out()
    assert not any(teacher.is_admitted(token, access.passcode()) for token, _ticket in (first, second))


# -- what the browser keeps --------------------------------------------------------------------------------------------


@pytest.fixture
def cookie(guarded, monkeypatch):
    """What each session's browser brings; change it at will."""
    brought = {"value": ""}
    monkeypatch.setattr(teacher, "from_cookie", lambda: brought["value"])
    monkeypatch.setattr(teacher, "_tokens", {})
    monkeypatch.setattr(teacher, "_tickets", {})
    return brought


def test_a_session_with_the_cookie_is_the_teachers_and_a_forged_one_opens_nothing(cookie, monkeypatch):
    come_in(page())
    (token,) = teacher._tokens
    assert CODE not in token
    for value, admitted in ((token, True), ("", False), (CODE, False), (token[:-1], False), (token + "A", False)):
        cookie["value"] = value
        assert ("gate_leave" in keys(page())) is admitted, value
    cookie["value"] = token
    monkeypatch.setenv("AEVAE_PASSCODE", "another one")
    assert "gate_leave" not in keys(page()), "the passcode was changed"


def test_who_leaves_leaves_every_tab(cookie):
    app = come_in(page())
    (cookie["value"],) = teacher._tokens
    other = page()
    assert "gate_leave" in keys(other)
    app.button(key="gate_leave").click().run()
    assert not teacher._tokens and not teacher._tickets
    assert "gate_leave" not in keys(app) and "gate_leave" not in keys(other.run()) and "gate_leave" not in keys(page())


def test_the_lock_holds_for_whoever_lost_the_cookie(cookie):
    app = come_in(page())
    app.toggle(key="gate_lock").set_value(True).run()
    teacher.dismiss(next(iter(teacher._tokens)))
    app.run().button(key="train_start").click().run()
    assert [e.value for e in app.error] == ["The teacher has locked the training. Ask the teacher to unlock it."]
    jobs.lock(False)


def test_a_ticket_is_good_once_and_for_a_minute(cookie):
    token, ticket = teacher.admit(CODE, now=0)
    assert teacher.redeem(ticket, now=59) == token and teacher.redeem(ticket, now=59) == ""
    late = teacher.admit(CODE, now=0)[1]
    assert teacher.redeem(late, now=61) == "" and not teacher._tickets
    left, ticket = teacher.admit(CODE, now=100)
    teacher.dismiss(left)
    assert teacher.redeem(ticket, now=101) == "" == teacher.redeem("nonsense", now=101)


def test_tokens_are_bounded(cookie):
    for _ in range(teacher.MAX_TOKENS + 5):
        teacher.admit(CODE)
    assert len(teacher._tokens) == teacher.MAX_TOKENS


@pytest.mark.parametrize(("base", "path"), [("", "/"), ("lab", "/lab")])
def test_the_cookie_is_of_this_server_alone(cookie, monkeypatch, base, path):
    from starlette.requests import Request

    from aevae.ui.frame import server

    known = teacher.st.get_option
    monkeypatch.setattr("streamlit.get_option", lambda name: base if name == "server.baseUrlPath" else known(name))
    (route,) = (route for route in server.routes() if "/teacher/" in route.path)
    assert route.methods == {"POST"} and route.path.startswith(path)
    token, ticket = teacher.admit(CODE)
    scope = {
        "type": "http",
        "method": "POST",
        "scheme": "https",
        "server": ("host", 443),
        "query_string": b"",
        "headers": [],
    }
    scope |= {"path": route.path.replace("{ticket}", ticket), "path_params": {"ticket": ticket}}
    said = route.endpoint(Request(scope)).headers["set-cookie"].split("; ")
    assert said[0] == f"{teacher.cookie_name()}={token}"
    assert {"HttpOnly", "SameSite=strict", "Secure", f"Path={path}"} == set(said[1:])


# -- what the teacher decides for the class ----------------------------------------------------------------------------


def test_hidden_pages_are_in_no_students_menu_and_their_addresses_say_so(guarded):
    boss = come_in(page("pages/lab/server.py"))
    boss.multiselect(key="server_hidden").set_value(["elbo", "denoise"]).run()
    assert visibility.hidden() == {"elbo", "denoise"} and not boss.exception
    student = page("pages/explore/denoise.py")
    assert [said.value for said in student.info] == ["Your teacher has hidden this page."]
    assert [title.value for title in student.title] == ["Denoise"] and not student.multiselect
    assert "Your teacher" not in " ".join(said.value for said in page("pages/lab/models.py").info)
    boss.switch_page("pages/explore/denoise.py").run()
    assert "Your teacher has hidden this page." not in [said.value for said in boss.info]
    boss.switch_page("pages/lab/server.py").run()
    boss.multiselect(key="server_hidden").set_value([]).run()
    assert visibility.hidden() == frozenset()


def test_a_hidden_page_leaves_the_menu(guarded, monkeypatch):
    visibility.hide(["elbo"])
    monkeypatch.setattr(internals, "in_session", lambda: True)
    monkeypatch.setattr(menu.st, "Page", lambda _path, **entry: entry)
    entries = lambda: {e["url_path"]: e["visibility"] for group in menu.pages().values() for e in group}  # noqa: E731
    assert entries()["elbo"] == "hidden" and entries()["beta"] == "visible"
    monkeypatch.delenv("AEVAE_PASSCODE")
    assert entries()["elbo"] == "visible", "without a passcode nobody could show it again"


@pytest.mark.parametrize("content", ["", "{", "3", '{"elbo": 1}', "[1, null]"])
def test_a_damaged_list_hides_nothing(guarded, content):
    visibility.hide(["elbo"])
    visibility._file().write_text(content, "utf-8")
    assert visibility.hidden() == frozenset()


def test_a_new_beginning_deletes_the_runs_of_the_class(guarded):
    name = runs.train_or_load(tiny_config("ae")).name
    job = jobs.submit(tiny_config("vae"))
    app = page("pages/lab/server.py")
    assert "server_reset_now" not in keys(app), "for the teacher alone"
    come_in(app)
    assert any("deletes 1 runs" in said.value and "cancels 1 jobs" in said.value for said in app.markdown)
    app.button(key="server_reset_now").click().run()
    assert not app.exception and [said.value for said in app.info] == ["1 runs are deleted."]
    assert checkpoints.finished_run(name) is None and jobs.get(job.id) is None
    assert app.button(key="server_reset_now").disabled


def test_a_new_beginning_leaves_what_is_shipped(guarded, monkeypatch, tmp_path):
    write_run(tmp_path)
    monkeypatch.setenv("AEVAE_PRETRAINED", str(tmp_path))
    cached.runs.clear()
    assert [run.shipped for run in checkpoints.list_runs()] == [True] and class_panel.own_runs() == []


def test_the_lock_is_one_in_menu_and_page(guarded):
    app = come_in(page("pages/lab/server.py"))
    app.toggle(key="server_lock").set_value(True).run()
    assert jobs.locked() and app.toggle(key="gate_lock").value
    app.toggle(key="gate_lock").set_value(False).run()
    assert not jobs.locked() and not app.toggle(key="server_lock").value
