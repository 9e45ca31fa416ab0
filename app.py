"""The lab: `streamlit run app.py`. The same file is the server (once) and the script of every session."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # thirty sessions share the cores; the worker counts its own

import streamlit as st

from aevae.ui import chrome, gate, serving, watch

if st.runtime.exists():  # in a session
    st.set_page_config(page_icon="✍️", layout="wide")  # first: else a page's icon is fetched from the network
    chrome.start()
    page = st.navigation(chrome.pages(), expanded=True)
    st.set_page_config(page_title=chrome.tab_title(page.title))
    chrome.frame(gate.ticket())
    gate.door()
    chrome.run(page)
else:  # before the first session
    chrome.announce()
    app = st.App(
        __file__,
        routes=serving.routes(),
        middleware=[*serving.middleware(), *watch.middleware()],
        lifespan=serving.lifespan,
        on_script_error=watch.page_failed,
    )
