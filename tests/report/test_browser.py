"""The page in a real browser, at the widths of a desk and of a hand."""
import shutil

import cv2
import pytest

pytestmark = pytest.mark.slow
WIDTHS = 1280, 390
OPTIONS = ('--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--disable-dev-shm-usage', '--no-first-run',
           '--disable-background-networking', '--disable-component-update', '--disable-sync')
WIDER = '''return [...document.querySelectorAll('body *')].filter(each =>
    !each.parentElement.closest('.scroll, svg, pre, details:not([open])') &&
    each.getBoundingClientRect().right > arguments[0] + 1).map(each => each.outerHTML.slice(0, 80))'''


@pytest.fixture(scope='module')
def browser(tmp_path_factory):
    """Headless Chromium that keeps every message of its console."""
    webdriver = pytest.importorskip('selenium.webdriver')
    chromium = next(filter(None, map(shutil.which, ('chromium', 'chromium-browser', 'google-chrome'))), None)
    driver = shutil.which('chromedriver')
    if not chromium or not driver:
        pytest.skip('no chromium and chromedriver on the PATH (Debian: apt install chromium chromium-driver)')
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for option in (*OPTIONS, f'--user-data-dir={tmp_path_factory.mktemp("profile")}'):
        options.add_argument(option)
    options.set_capability('goog:loggingPrefs', dict(browser='ALL'))
    started = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    yield started
    started.quit()


@pytest.fixture
def show(browser, tmp_path):
    """Opens a text as a page of some width in pixels; ``scheme`` is light or dark."""
    def show(text, width, scheme='light'):
        (tmp_path / 'report.html').write_text(text, encoding='utf-8')
        browser.execute_cdp_cmd('Emulation.setDeviceMetricsOverride', dict(
            width=width, height=900, deviceScaleFactor=1, mobile=width < 600))
        browser.execute_cdp_cmd('Emulation.setEmulatedMedia', dict(
            features=[dict(name='prefers-color-scheme', value=scheme)]))
        browser.get((tmp_path / 'report.html').as_uri())
        return browser
    return show


@pytest.mark.parametrize('width', WIDTHS)
def test_it_fits_and_nothing_complains(show, page, width):
    opened = show(page, width)
    assert opened.execute_script('return innerWidth') == width
    assert opened.execute_script('return document.documentElement.scrollWidth') <= width
    assert opened.execute_script(WIDER, width) == []
    assert opened.get_log('browser') == []
    assert opened.execute_script("return [...document.querySelectorAll('svg')].every(each => each.clientWidth > 10)")


def test_what_would_be_found(show, page):
    """The checks above can fail: a wide box, and a script that the page's policy forbids."""
    opened = show(page.replace('<main>', '<main><p style="width:600px">wide</p><script>1</script>'), 390)
    assert opened.execute_script('return document.documentElement.scrollWidth') > 390
    assert len(opened.execute_script(WIDER, 390)) == 1
    assert 'Content Security Policy' in opened.get_log('browser')[0]['message']


@pytest.mark.parametrize('width', WIDTHS)
def test_a_table_that_scrolls_shows_it_until_its_end(show, page, width, tmp_path):
    """A shadow at the right edge; and rules between all rows of the first column, which stays where it is."""
    wide = page.replace('<td>', '<td style="min-width:24rem">')
    opened = show(wide, width)
    table = 'document.querySelector("[aria-label=\'AP of every class\']")'
    right, bottom, hidden, left = opened.execute_script(f"""const all = {table}; all.scrollIntoView();
        const row = all.querySelectorAll('tbody tr')[1].getBoundingClientRect(), box = all.getBoundingClientRect();
        return [box.right, row.bottom, all.scrollWidth - all.clientWidth, box.left]""")
    assert hidden > 40

    def pixel(x, y):
        opened.save_screenshot(str(tmp_path / 'seen.png'))
        return cv2.imread(str(tmp_path / 'seen.png'))[int(y), int(x)].astype(int).mean()
    edge = right - 4, bottom - 5
    assert pixel(*edge) < 235 < pixel(right - 60, edge[1])
    opened.execute_script(f'{table}.scrollLeft = 1e6')
    assert pixel(*edge) > 250
    for index in range(1, 10):
        y = opened.execute_script(f"return {table}.querySelectorAll('tbody tr')[{index}].getBoundingClientRect().top")
        seen = cv2.imread(str(tmp_path / 'seen.png'))[int(y) - 1:int(y) + 2, int(left) + 4].mean(-1)
        assert seen.min() < 245 or y > 898, f'no rule above row {index}'


@pytest.mark.parametrize('width', WIDTHS)
def test_text_is_readable_in_light_and_dark(show, page, width):
    """Letters of 12 pixels and more outside of the pictures, and a contrast of at least 4.5."""
    for scheme in ('light', 'dark'):
        opened = show(page, width, scheme)
        sizes = opened.execute_script('''return [...document.querySelectorAll('body *')].filter(each =>
            !each.closest('svg') && [...each.childNodes].some(node => node.nodeType == 3 && node.data.trim()))
            .map(each => parseFloat(getComputedStyle(each).fontSize))''')
        assert len(sizes) > 50 and min(sizes) >= 12
        colours = opened.execute_script('''const own = getComputedStyle(document.documentElement);
            return ['back', 'card', 'text', 'soft', 'link', 'gain', 'loss'].map(n => own.getPropertyValue('--' + n))''')
        back, card, *texts = [luminance(colour.strip()) for colour in colours]
        assert (back > 0.5) == (scheme == 'light')
        for text in texts:
            for ground in (back, card):
                assert (max(text, ground) + 0.05) / (min(text, ground) + 0.05) >= 4.5


def luminance(colour):
    """Of ``#rrggbb``, as WCAG 2 defines it."""
    parts = [int(colour[start:start + 2], 16) / 255 for start in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055)**2.4 for part in parts]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear))
