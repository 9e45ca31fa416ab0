"""The lab: `streamlit run app.py`."""

import streamlit as st

from aevae.ui import chrome

st.set_page_config(page_title="aevae", page_icon="✍️", layout="wide")
chrome.start()
st.navigation(chrome.pages()).run()
