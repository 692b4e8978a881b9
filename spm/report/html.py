"""HTML pages that need no other file."""

from html import escape

from markdown_it import MarkdownIt

STYLE = """body { font: 15px/1.5 sans-serif; margin: 1.5em; color: #222 }
table { border-collapse: collapse; margin: 1em 0 }
td, th { padding: .2em .8em; border-bottom: 1px solid #ccc }
th { text-align: left }
figure { display: inline-block; margin: 0 1.5em 1.5em 0; vertical-align: top }
figcaption { max-width: 26em; color: #444 }"""


def page(title: str, body: str) -> str:
    """A complete HTML page; `body` is HTML, `title` is plain text."""
    head = f'<!DOCTYPE html><html lang="en"><meta charset="utf-8"><title>{escape(title)}</title>'
    viewport = '<meta name="viewport" content="width=device-width, initial-scale=1">'
    return f"{head}{viewport}<style>{STYLE}</style>\n<h1>{escape(title)}</h1>\n{body}</html>\n"


def from_markdown(text: str) -> str:
    r"""Convert Markdown, tables included, to HTML.

    >>> from_markdown("**a**")
    '<p><strong>a</strong></p>\n'
    """
    return str(MarkdownIt("commonmark").enable("table").render(text))
