"""SDR: of a batch as the reference has it, of frames as museval has it."""

from __future__ import annotations

import ast
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from demucs_tf.training.evaluation import framewise_sdr, median_sdr
from parity.music.scores import museval_metrics


def test_frames_are_those_of_museval() -> None:
    random = np.random.default_rng(0)
    truth = random.normal(size=(3, 2, 5 * 2000 + 100))
    truth[1, :, 2000:4000] = 0  # a frame in which one stem is silent counts for none
    estimates = 0.7 * truth + 0.3 * random.normal(size=truth.shape)
    estimates[2, :, 6000:8000] = 0
    wanted = museval_metrics().bss_eval(
        *(np.moveaxis(each, 1, 2) for each in (truth, estimates)),
        compute_permutation=False,
        filters_len=16,
        window=2000,
        hop=2000,
        framewise_filters=False,
        bsseval_sources_version=False,
    )[0]
    found = framewise_sdr(truth, estimates, 2000)
    assert found.shape == (3, 5)
    np.testing.assert_array_equal(np.isnan(found), np.isnan(wanted))
    np.testing.assert_array_equal(np.isnan(found).any(axis=0), [False, True, False, True, False])
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-6)
    median = median_sdr(truth, estimates, 2000)
    np.testing.assert_allclose(median, np.nanmedian(wanted, axis=1), rtol=0, atol=1e-6)


def test_no_frame_that_counts() -> None:
    assert np.isnan(median_sdr(np.zeros((2, 2, 100)), np.ones((2, 2, 100)), 50)).all()


def test_the_metric_passes_over_items_in_which_the_stem_is_silent() -> None:
    from demucs_tf.training.metrics import StemSDR, sdr

    random = np.random.default_rng(0)
    truth = random.normal(size=(3, 2, 2, 500)).astype("float32")
    truth[1, 1] = 0
    estimates = truth + 0.1 * random.normal(size=truth.shape).astype("float32")
    metric = StemSDR(1, "sdr_rest")
    metric.update_state(truth, estimates)
    each = np.asarray(sdr(truth, estimates))
    assert float(metric.result()) == pytest.approx((each[0, 1] + each[2, 1]) / 2, rel=1e-5)
    wanted = 10 * np.log10((truth[0, 0] ** 2).sum() / ((truth - estimates)[0, 0] ** 2).sum())
    assert each[0, 0] == pytest.approx(wanted, abs=1e-3)
    assert StemSDR.from_config(metric.get_config()).index == 1


@pytest.mark.live
def test_sdr_is_the_references() -> None:
    import torch

    from demucs_tf.training.metrics import sdr

    random = np.random.default_rng(0)
    truth, estimates = random.normal(size=(2, 2, 3, 2, 700))
    wanted = _new_sdr({"th": torch})(torch.tensor(truth), torch.tensor(estimates)).numpy()
    np.testing.assert_allclose(np.asarray(sdr(truth, estimates)), wanted, rtol=1e-12)


def _new_sdr(names: dict[str, Any]) -> Any:
    """The reference's function alone: its module imports what only its training needs."""
    package = find_spec("demucs")
    assert package is not None
    assert package.submodule_search_locations is not None
    path = Path(package.submodule_search_locations[0]) / "evaluate.py"
    tree = ast.parse(path.read_text(encoding="utf-8"))
    tree.body = [
        node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == "new_sdr"
    ]
    exec(compile(tree, str(path), "exec"), names)
    return names["new_sdr"]
