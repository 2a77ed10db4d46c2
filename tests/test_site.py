"""The site builds without a warning and fetches nothing where it is read."""
import os
import re
import subprocess
import sys

import pytest

pytest.importorskip('sphinx', reason='`make docs` needs requirements/dev.txt')
pytestmark = pytest.mark.slow


@pytest.fixture(scope='module')
def site(repository, tmp_path_factory):
    folder = tmp_path_factory.mktemp('site')
    subprocess.run([sys.executable, '-m', 'sphinx', '-W', '--keep-going', '-q', '-d', folder / 'cache',
                    repository / 'docs', folder / 'html'], check=True, env=dict(os.environ, PYTHONPATH=str(repository)))
    return folder / 'html'


def test_every_page_is_there(site, repository):
    pages = [page.relative_to(repository / 'docs') for page in repository.glob('docs/**/*.md')
             if '_build' not in page.parts]
    assert pages and all((site / page.with_suffix('.html')).is_file() for page in pages)


def test_nothing_is_fetched_from_elsewhere(site):
    pages = list(site.rglob('*.html')) + list(site.rglob('*.css'))
    for page in pages:
        text = page.read_text()
        fetched = re.findall(r'<(?:script|img|iframe|source)\b[^>]*\bsrc="([^"]+)', text)
        fetched += re.findall(r'<link\b(?=[^>]*rel="(?:stylesheet|preload|icon)")[^>]*\bhref="([^"]+)', text)
        fetched += re.findall(r'url\(["\']?([^"\')]+)', text) + re.findall(r'@import\s+["\']([^"\']+)', text)
        assert not [address for address in fetched if re.match(r'(https?:)?//', address)], page


@pytest.mark.parametrize('method', ['adl', 'chen2017', 'fgfi', 'hint', 'labelenc'])
def test_methods_have_a_formula_and_what_was_measured(site, method, repository):
    text = (site / f'methods/{method}.html').read_text()
    assert '<math' in text and '\\frac' not in text
    if (repository / f'docs/results/{method}-digits.md').is_file():
        assert 'gap closed' in text


def test_links_in_texts_that_are_included_lead_to_pages(site):
    assert 'href="fgfi.html"' in (site / 'methods/index.html').read_text()
    assert 'href="../results/hint-digits.html"' in (site / 'methods/hint.html').read_text()
    assert 'href="architecture.html"' in (site / 'index.html').read_text()
