"""Turn the chapters' text into HTML: paragraphs, equations, subscripts and superscripts."""

from __future__ import annotations

import re
from html import escape

# An underscore after two Latin letters belongs to a name, as in calculate_gain.
_LOWERED = re.compile(r"(?<![A-Za-z]{2})_(?:\{([^}]*)\}|(\w))")
_RAISED = re.compile(r"\^(?:\{([^}]*)\}|(\w))")


def inline(text: str) -> str:
    """Escape one line of text and set ``h_a``, ``q^{l+1}`` with real sub- and superscripts.

    Examples
    --------
    >>> inline("χ_1 < 1 and q^{l+1}")
    'χ<sub>1</sub> &lt; 1 and q<sup>l+1</sup>'
    """
    html = escape(text.replace(" -", " \N{MINUS SIGN}"), quote=True)
    html = _LOWERED.sub(lambda found: f"<sub>{found[1] or found[2]}</sub>", html)
    return _RAISED.sub(lambda found: f"<sup>{found[1] or found[2]}</sup>", html)


def blocks(text: str) -> str:
    """Return paragraphs, which blank lines separate, as HTML.

    A paragraph that is indented is an equation; one that begins with ``Source:`` is set small.
    """
    html = []
    for block in re.split(r"\n\s*\n", text.strip("\n")):
        line = inline(" ".join(block.split()))
        if block.startswith(" "):
            html.append(f'<p class="eq">{line}</p>')
        elif line.startswith("Source:"):
            html.append(f'<p class="soft small">{line}</p>')
        else:
            html.append(f"<p>{line}</p>")
    return "".join(html)
