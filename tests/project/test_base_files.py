import pytest

from kddet.project.base_files import check_bases


def test_a_circle_is_named(tmp_path):
    (tmp_path / 'a.py').write_text("_base_ = ['other.yaml', 'b/c.py', 'pkg::d.py', 'gone.py']\n")
    (tmp_path / 'b').mkdir()
    (tmp_path / 'b/c.py').write_text("_base_ = '../d.py'\n")
    (tmp_path / 'd.py').write_text('_base_ = [*unknown]\n')
    check_bases(str(tmp_path / 'a.py'))
    (tmp_path / 'd.py').write_text("_base_ = './a.py'\n")
    with pytest.raises(ValueError, match=r'a.py.* builds on itself, .*/a.py -> .*/b/c.py -> .*/d.py -> .*/a.py; take'):
        check_bases(str(tmp_path / 'a.py'))


def test_a_base_that_two_share_is_no_circle(tmp_path):
    (tmp_path / 'a.py').write_text("_base_ = ['b.py', 'c.py']\n")
    for name in 'bc':
        (tmp_path / f'{name}.py').write_text("_base_ = 'd.py'\n")
    (tmp_path / 'd.py').write_text('lr = 1\n')
    check_bases(str(tmp_path / 'a.py'))
