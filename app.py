"""The app: `streamlit run app.py`. It runs once as server, then once per session as script."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # thirty sessions share the cores; workers set their own number

import streamlit as st

from aevae.ui import internals
from aevae.ui.frame import access, layout, menu, monitoring, server

if internals.in_session():
    st.set_page_config(page_icon="✍️", layout="wide")  # first, or the page's icon would be fetched from the network
    layout.start()
    page = st.navigation(menu.pages(), expanded=True)
    st.set_page_config(page_title=menu.tab_title(page.title))
    layout.frame(page.url_path, access.ticket())
    access.login_panel()
    layout.run(page)
else:  # the server, before the first session
    menu.announce()
    app = st.App(
        __file__,
        routes=server.routes(),
        middleware=[*server.middleware(), *monitoring.middleware()],
        lifespan=server.lifespan,
        on_script_error=monitoring.page_failed,
    )
