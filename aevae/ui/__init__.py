"""The user interface: the only part of the package that uses Streamlit. One folder per page."""
