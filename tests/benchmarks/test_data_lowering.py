"""The benchmark of matrices as data: copies past the cache, complete tables."""

import json
from pathlib import Path

import pytest
from fake_measure import fake_measure_any

import data_lowering
from machine import Machine

MACHINE = Machine("Fake", "sm_90", 132, 1.98, 2**20, 13000, "3", {"torch": "2"})


def test_every_product_is_reported_with_its_ratios(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(data_lowering, "this_machine", lambda: MACHINE)
    monkeypatch.setattr(data_lowering, "measure_any", fake_measure_any)
    monkeypatch.setattr(data_lowering, "ordinal_of_builds", lambda: None)
    output = tmp_path / "out"
    arguments = ["--shapes", "64x96", "--sparsity", "0.9", "--n", "1", "4", "--workers", "2"]
    assert data_lowering.main([*arguments, "--candidates", "3", "--output", str(output)]) == 0
    document = json.loads((tmp_path / "out.json").read_text())
    kinds = sorted((one["unevenness"], one["n"]) for one in document["results"])
    assert kinds == [(0.0, 1), (0.0, 4), (0.42, 1), (0.42, 4)]
    for one in document["results"]:
        assert one["us"] == one["schedule"]["threads"]
        assert one["us"] == min(us for us, _ in one["tried"]) <= one["default_us"]
        assert len(one["tried"]) == 4
        assert one["schedule"]["lowering"] == "data"
        assert one["packed_bytes"] > 0
        assert one["copies"] > 1
        assert one["ratios"]["cublas f16"] == pytest.approx(640 / one["us"])
        assert one["ratios"]["cusparse f16"] is None
        assert "out of luck" in " ".join(one["failures"])
    assert "out of luck" in (tmp_path / "out.md").read_text()


def test_copies_are_larger_than_the_cache() -> None:
    for size in (1, 1000, 2**19, 2**20, 2**24):
        copies = data_lowering.copies_for(size, MACHINE)
        assert copies * size > 2 * MACHINE.l2_bytes or copies == 64
        assert copies >= 2 or size > 2 * MACHINE.l2_bytes
