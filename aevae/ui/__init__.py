"""The only Streamlit code of the package: cached loaders, state keys, shared widgets and components."""
