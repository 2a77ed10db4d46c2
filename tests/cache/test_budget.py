"""What several caches take together."""
import pytest

from kddet.cache.budget import GB, Budget


def budgets(tmp_path, count, max_gb, folder=''):
    found = [Budget(tmp_path / folder, tmp_path / folder / str(index), max_gb) for index in range(count)]
    for own in found:
        own.count_with(found)
    return found


def test_caches_of_one_folder_count_together(tmp_path):
    first, second = budgets(tmp_path, 2, 1e-6)
    first.check(100, pictures=6, states=1)
    second.check(100, pictures=4, states=1)
    with pytest.raises(ValueError, match='beside 6e-07 GB of other caches; max_gb is 1e-06'):
        second.check(100, pictures=5, states=1)
    first.written = 600
    assert second.allows(400) and not second.allows(401) and first.coming == 0
    assert second.max_gb * GB == 1000


def test_those_elsewhere_do_not(tmp_path):
    (first,), (second,) = (budgets(tmp_path, 1, 1e-6, name) for name in 'ab')
    first.count_with([first, second])
    second.check(100, pictures=10, states=1)
    first.check(100, pictures=10, states=1)
