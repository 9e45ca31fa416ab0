"""A simulated browser for AppTest: records the data of one live module and sends messages for it."""

import json

import streamlit as st
from streamlit.testing.v1 import AppTest


class Mounted:
    """Records the last `component.mount` of `module`; a hidden button sends `payload` like the browser."""

    def __init__(self, monkeypatch, module: str):
        from aevae.ui.live import component

        self.module, self.payload = module, {}
        self._real = component.mount
        monkeypatch.setattr(component, "mount", self._mount)

    def _mount(self, module, key, spec, arrays=None, *, programs=(), on_send=None, **more):
        if module != self.module:
            return self._real(module, key, spec, arrays, programs=programs, on_send=on_send, **more)
        json.dumps(spec, allow_nan=False)
        self.spec, self.arrays, self.programs = spec, arrays, list(programs)
        st.button("send", key="send", on_click=lambda: on_send(self.payload))

    def send(self, at: AppTest, /, **payload) -> AppTest:
        """Let the browser send `payload`, and run the page."""
        self.payload = payload
        at.button(key="send").click().run()
        assert not at.exception
        return at
