"""The site: Sphinx, because the docstrings are written in its notation, with pages in Markdown (MyST).

Nothing is fetched where a page is read: formulas are MathML, fonts and scripts are the reader's or the site's own.
"""
import re
from pathlib import Path

from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml

import kddet

DOCS = Path(__file__).parent
REPOSITORY = DOCS.parent
PAGES = {'CONTRIBUTING.md': 'contributing.md', 'CHANGELOG.md': 'changelog.md', 'README.md': 'index.md'}  # elsewhere

project, version = 'kddet', kddet.__version__
extensions = ['myst_parser', 'sphinx.ext.autodoc', 'sphinx.ext.napoleon']
exclude_patterns = ['_build', 'examples']

myst_enable_extensions, myst_fence_as_directive = ['dollarmath'], ['math']  # formulas as GitHub shows them
myst_heading_anchors = 3
autodoc_typehints = 'none'  # defaults are enough; shapes are in the text
autodoc_member_order = 'bysource'
maximum_signature_line_length = 80
napoleon_use_rtype = False
default_role = 'code'
pygments_style, pygments_dark_style = 'friendly', 'monokai'
highlight_language = 'text'  # of indented blocks: commands and output

html_theme = 'furo'
html_title = 'kddet'
html_static_path = ['static']
html_css_files = ['site.css']
html_copy_source = html_show_sphinx = html_show_copyright = False
html_math_renderer = 'mathml'


def page_of(file: Path) -> str:
    """The site's page of a file of the repository, or the file itself, as a link from the top of ``docs/``."""
    if file.is_relative_to(DOCS):
        return f'/{file.relative_to(DOCS)}'
    name = str(file.relative_to(REPOSITORY))
    if method := re.fullmatch(r'configs/(\w+)/README.md', name):
        return f'/methods/{method[1]}.md'
    return f'/{PAGES.get(name, f"../{name}")}'


def point_links_to_pages(app, path: Path, docname: str, content: list[str]) -> None:
    """What a README links to, where its text stands on a page."""
    folder = (DOCS / path).resolve().parent

    def rewrite(link: re.Match) -> str:
        target, hash_, anchor = link[1].partition('#')
        return f']({page_of((folder / target).resolve())}{hash_}{anchor})'
    content[0] = re.sub(r'(?<!\!\[)\]\((?!\w+:|#|/)([^)]+)\)', rewrite, content[0])


def visit_math(translator, node) -> None:
    translator.body.append(tex2mathml(node.astext(), as_block=isinstance(node, nodes.math_block)))
    raise nodes.SkipNode


def setup(app) -> None:
    app.add_html_math_renderer('mathml', (visit_math, None), (visit_math, None))
    app.connect('include-read', point_links_to_pages)
