"""Style rules that a theme of Streamlit cannot contain."""

# Corrections of Streamlit's own styles:
# - The text of a chosen pill has the accent colour. White text on that colour must be readable, too, so on the dark
#   theme it is too dark for a text.
# - `code` in a caption is fainter than the caption.
# - A pop-up gets the height that is left below its button, instead of opening upwards.
# - The menu has less empty space at its end.
# - A slider keeps each finger (`live/touch.js` decides which is for the slider).
CORRECTIONS = """
.stButtonGroup [data-selected] p { color: light-dark(#24569E, #93B8F2); }
[data-testid="stCaptionContainer"] code { color: inherit; background: none; }
.stSlider [style*="touch-action"] { touch-action: pan-y !important; }
[data-testid="stSidebarUserContent"] { padding-bottom: 1rem; }
@media (min-height: 700px) {
  [data-testid="stPopoverBody"]:has(input, button) { min-height: fit-content; }
}
"""

# The digit picker is at most 120 pixels high, on a phone as well.
PICKER = """
[class*="_picker"] button { min-height: 1.75rem; padding: 0 0.5rem; }
[class*="_picker"] button p { font-size: 0.875rem; }
@media (max-width: 640px) {
  [class*="_picker"] .stButtonGroup button { padding-inline: 0.4rem; }
}
"""

# On phones the page begins right below Streamlit's bar.
PHONE = """
@media (max-width: 768px) {
  [data-testid="stMainBlockContainer"] { padding-top: 3.25rem; }
  [data-testid="stMainBlockContainer"] h1 { padding-top: 0; }
}
"""

# The mode Present (`present.js`) shows pictures alone.
PICTURES = ':is([data-testid^="stBidiComponent"], .stPlotlyChart, [data-testid="stImage"]):not([class*="_picker"] *)'
PRESENT = f"""
.aevae-present-button {{
  border: 0; padding: 0.25rem 0.5rem; background: none; color: inherit; font: inherit; font-size: 0.875rem;
  opacity: 0.7; cursor: pointer; text-decoration: underline; text-underline-offset: 0.2em; white-space: nowrap;
}}
.aevae-present-button:is(:hover, :focus-visible) {{ opacity: 1; }}
.aevae-present {{
  position: fixed; inset: auto 0 0 0; z-index: 1000; display: flex; align-items: center; gap: 0.5rem;
  padding: 0.5rem 1.5rem; font-size: 22px; line-height: 1.3; border-top: 1px solid #8884;
}}
.aevae-present .line {{ flex: 1; max-height: 3.9em; overflow: auto; }}
.aevae-present button {{
  flex: none; width: 2rem; height: 2rem; border: 0; background: none; color: inherit; font: inherit; cursor: pointer;
}}
html[data-present] :is([data-testid="stSidebar"], [data-testid="stHeader"], [data-testid="stExpander"]),
html[data-present] [data-testid="stMain"] :is([class*="_picker"], .st-key-tries, [data-testid="stForm"]),
html[data-present] [data-testid="stMain"]
  :is(.stElementContainer, [data-testid="stColumn"], [data-testid="stLayoutWrapper"]):not(:has({PICTURES})) {{
  display: none;
}}
html[data-present] [data-testid="stMainBlockContainer"] {{ margin-inline: auto; padding: 1.5rem 1rem 6rem; }}
"""

STYLE = CORRECTIONS + PICKER + PHONE + PRESENT
