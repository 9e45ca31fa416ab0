"""Import of a run that somebody exported."""

import streamlit as st

from aevae.datasets.archives import Source
from aevae.exchange import run_archive
from aevae.queue import errors
from aevae.ui.frame import access
from aevae.ui.i18n import _
from aevae.ui.models.gallery import choose
from aevae.ui.shared import cached, markdown


def import_run() -> None:
    """Show the upload of an exported run (zip or folder), which is checked completely before it is stored."""
    if not access.is_teacher():
        st.info(access.refusal())
        return
    st.markdown(
        _(
            "Import a zip or folder that **Export** made, on this or another computer. aevae checks the whole run "
            "before it stores the run."
        )
    )
    file = st.file_uploader(_("A run as a zip"), type=["zip"], key="models_zip")
    files = st.file_uploader(_("or as a folder"), key="models_folder", accept_multiple_files="directory")
    if (file or files) and st.button(_("Import the run"), key="models_import", type="primary"):
        with st.spinner(_("Checking ...")):
            _unpack(file.getvalue() if file else {each.name: each.getvalue() for each in files})


def _unpack(source: Source) -> None:
    try:
        name = run_archive.unpack(source, access.may_read)
        cached.runs.clear()
        st.success(_("{} is imported.").format(name))
    except run_archive.AlreadyHere as problem:
        name = problem.name
        st.info(_("{} is already here.").format(name))
    except (ValueError, OSError) as problem:
        st.error(_("The run was not imported: {}.").format(markdown.escape(errors.user_message(problem))))
        return
    st.button(_("Show"), key="models_import_show", on_click=choose, args=(name,))
