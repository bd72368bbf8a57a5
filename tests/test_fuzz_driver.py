"""The driver answers a slice of the fuzzing's inputs, and the fuzzing notices what is wrong."""

import os
import time
from pathlib import Path

import pytest
from fuzz_driver import judge, run_input
from fuzz_inputs import make_input
from fuzzing import Answer, Fuzzer, Input, Outcome, Tally
from malformed_texts import MALFORMED

INPUTS = 500


def test_a_slice_of_the_inputs_gets_a_result_or_a_diagnostic(tmp_path: Path) -> None:
    tally = Tally()
    for number in range(len(MALFORMED), INPUTS):
        one = make_input(0, number)
        tally.add(number, one.kind, run_input(one, tmp_path), 0.0)
    assert not tally.findings, tally.table()
    assert {kind for kind, _ in tally.answers} == {
        "mutated test",
        "operations",
        "layer",
        "convolution",
        "separable",
    }
    for status in (0, 1):
        assert sum(count for (_, one), count in tally.answers.items() if one == status) > 5


def test_an_input_depends_on_its_number_alone() -> None:
    numbers = range(0, INPUTS, 7)
    assert [make_input(3, i) for i in numbers] == [make_input(3, i) for i in reversed(numbers)][
        ::-1
    ]
    assert make_input(3, INPUTS) != make_input(4, INPUTS)


@pytest.mark.parametrize(
    ("status", "stderr", "problem"),
    [
        (0, "", ""),
        (1, "f.mlir:1:1: error: no", ""),
        (70, "internal error: KeyError; please report it", "status 70: internal error: KeyError"),
        (1, "", "status 1 without a diagnostic"),
        (1, ": error: Traceback (most recent call last)", "a traceback"),
        (1, "f.mlir: error: p: out of memory", "out of memory: f.mlir: error: p: out of memory"),
        (1, ": error: " + "x" * 200_000, "200009 characters of diagnostics"),
    ],
)
def test_answers_are_judged(status: int, stderr: str, problem: str) -> None:
    assert judge(status, stderr) == Outcome(status, problem)


def _die(one: Input, directory: Path) -> Outcome:
    os._exit(3)


def _hang(one: Input, directory: Path) -> Outcome:
    time.sleep(600)
    return Outcome(0)


@pytest.mark.parametrize(
    ("answer", "problem"), [(_die, "the process died"), (_hang, "no answer within N.N s")]
)
def test_a_worker_that_dies_or_hangs_is_a_finding_and_is_replaced(
    answer: Answer, problem: str
) -> None:
    fuzzer = Fuzzer(make_input, answer, seed=0, limit=0.5)
    assert fuzzer.run(0, 2, time.monotonic() + 60) == 2
    assert fuzzer.tally.findings == {problem: 2}


def test_exceptions_that_the_driver_caught_are_counted_by_their_place(tmp_path: Path) -> None:
    numbers = list(MALFORMED)
    outcome = run_input(make_input(0, numbers.index("giant number")), tmp_path)
    assert outcome.status == 1
    assert outcome.problem == ""
    assert "mlir_lexer.py get_int_value: ValueError: " in outcome.caught
