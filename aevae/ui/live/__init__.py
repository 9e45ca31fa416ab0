"""The browser runtime of live modules, and the Streamlit component that mounts them."""
