"""Every changed file of a slice of the fuzzing's is read, or refused by one of our errors."""

from pathlib import Path

from fuzz_files import make_file, read_file
from fuzzing import Tally

INPUTS = 1000


def test_a_slice_of_the_files_is_read_or_refused(tmp_path: Path) -> None:
    tally = Tally()
    for number in range(INPUTS):
        one = make_file(0, number)
        tally.add(number, one.kind, read_file(one, tmp_path), 0.0)
    assert not tally.findings, tally.table()
    assert list(tmp_path.iterdir()) == []
    kinds = {kind for kind, _ in tally.answers}
    assert len(kinds) == 19
    for status in (0, 1):
        assert sum(count for (_, one), count in tally.answers.items() if one == status) > 50


def test_a_file_depends_on_its_number_alone() -> None:
    numbers = range(0, 100, 7)
    assert [make_file(3, i) for i in numbers] == [make_file(3, i) for i in reversed(numbers)][::-1]
    assert make_file(3, 50) != make_file(4, 50)
