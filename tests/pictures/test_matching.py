"""Which detections are right."""
from kddet.pictures.matching import Match, match

CAT, DOG = (0.0, 0.0, 40.0, 40.0), (100.0, 0.0, 140.0, 40.0)


def test_as_the_report_has_it():
    found = match([(CAT, 'cat', 0.9), (CAT, 'cat', 0.4), (DOG, 'cat', 0.6), (CAT, 'eel', 0.5)],
                  [(CAT, 'cat', False), (DOG, 'dog', False)])
    assert {(each.name, each.score, each.found) for each in found if each.score is not None} == {
        ('cat', 0.9, True), ('cat', 0.4, False), ('cat', 0.6, False), ('eel', 0.5, False)}
    assert [each for each in found if each.score is None] == [
        Match(CAT, 'cat', None, True, 0.9), Match(DOG, 'dog', None, False)]


def test_an_object_that_does_not_count_is_neither_found_nor_missed():
    assert match([(CAT, 'cat', 0.9)], [(CAT, 'cat', True)]) == []
    assert [each.found for each in match([(CAT, 'cat', 0.9)], [])] == [False]
    assert match([], []) == []
