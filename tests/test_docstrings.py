"""The examples in the docstrings run."""
import doctest
import importlib
import pkgutil

import kddet


def test_examples_in_docstrings():
    tried = 0
    for module in pkgutil.walk_packages(kddet.__path__, 'kddet.'):
        result = doctest.testmod(importlib.import_module(module.name), optionflags=doctest.NORMALIZE_WHITESPACE)
        assert not result.failed, module.name
        tried += result.attempted
    assert tried >= 6
