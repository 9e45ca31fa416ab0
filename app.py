"""The lab: `streamlit run app.py`. The same file is the server (once) and the script of every session."""

import streamlit as st

from aevae.ui import chrome, gate, live

if st.runtime.exists():  # in a session
    st.set_page_config(page_title="aevae", page_icon="✍️", layout="wide")
    chrome.start()
    page = st.navigation(chrome.pages(), expanded=True)
    gate.door()
    chrome.run(page)
else:  # before the first session
    chrome.announce()
    app = st.App(__file__, routes=live.routes())
