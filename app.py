"""The lab: `streamlit run app.py`. The same file is the server (once) and the script of every session."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # thirty sessions share the cores; the worker counts its own

import streamlit as st

from aevae.ui import internals
from aevae.ui.frame import access, layout, menu, monitoring, server

if internals.in_session():  # in a session
    st.set_page_config(page_icon="✍️", layout="wide")  # first: else a page's icon is fetched from the network
    layout.start()
    page = st.navigation(menu.pages(), expanded=True)
    st.set_page_config(page_title=menu.tab_title(page.title))
    layout.frame(access.ticket())
    access.login_panel()
    layout.run(page)
else:  # before the first session
    menu.announce()
    app = st.App(
        __file__,
        routes=server.routes(),
        middleware=[*server.middleware(), *monitoring.middleware()],
        lifespan=server.lifespan,
        on_script_error=monitoring.page_failed,
    )
