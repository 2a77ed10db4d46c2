"""kddet. torch and the mm packages are not required here, so that pip leaves them as they are: see kddet/host.py."""
import re
from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).parent


def requirements(name: str) -> list:
    lines = (ROOT / 'requirements' / f'{name}.txt').read_text().splitlines()
    return [line for line in lines if line and not line.startswith('#')]


setup(
    name='kddet',
    version=re.search(r"__version__ = '(.+)'", (ROOT / 'kddet/__init__.py').read_text()).group(1),
    description='Knowledge distillation for any MMDetection detector',
    long_description=(ROOT / 'README.md').read_text(),
    long_description_content_type='text/markdown',
    license='Apache-2.0',
    packages=find_packages(include=['kddet', 'kddet.*']),
    package_data={'kddet.report': ['page.html.j2', 'page.css']},
    python_requires='>=3.10',
    install_requires=['jinja2', 'numpy', 'packaging', 'safetensors'],
    extras_require=dict(
        openmmlab=['setuptools<82', *requirements('openmmlab')],
        onedl=['setuptools<82', *requirements('onedl')],
        dev=requirements('dev')))
