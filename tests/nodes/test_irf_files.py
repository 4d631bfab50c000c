"""The instrument response as people have it: a width, a recording, two columns of text."""

import numpy as np
import pytest

from photonstream.nodes.formats.ptu_write import PtuWriter
from photonstream.nodes.formats.records import GENERIC_T3
from photonstream.nodes.inference.irf import GaussianIrf, MeasuredIrf, fwhm_s
from photonstream.nodes.irf_files import load_irf
from photonstream.nodes.kernels.encode import encode_t3, new_carry, t3_capacity
from photonstream.stream.node import ParameterError

FWHM_S = 0.4e-9
SIGMA_S = FWHM_S / 2.3548


def test_a_width_is_a_gaussian():
    assert load_irf(1e-10) == GaussianIrf(1e-10)


def test_two_columns_of_text(tmp_path):
    path = tmp_path / "irf.txt"
    time_ns = np.arange(0, 50, 0.016)
    counts = np.round(1e4 * np.exp(-0.5 * ((time_ns - 5) * 1e-9 / SIGMA_S) ** 2) + 20)
    rows = "\n".join(f"{t:.4f}, {c:.0f}" for t, c in zip(time_ns, counts, strict=True))
    path.write_text(f"time (ns), counts\n{rows}\n", encoding="utf-8")
    irf = load_irf(str(path))
    assert isinstance(irf, MeasuredIrf)
    assert irf.bin_width_s == pytest.approx(16e-12)
    assert fwhm_s(irf.shares[0], irf.bin_width_s) == pytest.approx(FWHM_S, rel=0.03)
    # The background of 20 counts a bin, six times the peak's photons in all, is gone.
    far = np.abs(time_ns - 5) > 2
    assert irf.shares[0][far].sum() < 1e-3


def test_a_recording_of_it_per_channel(tmp_path):
    path = tmp_path / "irf.ptu"
    rng = np.random.default_rng(1)
    n = 40_000
    channel = rng.integers(0, 2, n).astype(np.uint8)
    delay_s = rng.normal(5e-9, SIGMA_S, n) + channel * 0.5e-9
    nsync = np.sort(rng.integers(0, 5_000_000, n))
    carry = new_carry()
    out = np.empty(t3_capacity(n, 5_000_000, carry), np.uint32)
    used = encode_t3(nsync, (delay_s / 16e-12).astype(np.uint16), channel, 5_000_000, carry, out)
    with PtuWriter(
        path, record_type=GENERIC_T3, macrotime_unit_s=2e-7, dtime_resolution_s=16e-12, sync_rate_hz=5e6
    ) as writer:
        writer.write(out[:used])
    irf = load_irf(str(path))
    assert isinstance(irf, MeasuredIrf)
    assert irf.shares.shape[0] == 2
    peak_s = irf.shares.argmax(axis=1) * irf.bin_width_s
    assert peak_s[1] - peak_s[0] == pytest.approx(0.5e-9, abs=0.1e-9)
    assert fwhm_s(irf.shares[0], irf.bin_width_s) == pytest.approx(FWHM_S, rel=0.1)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("hello\nworld\n", "at least 8 lines"),
        ("".join(f"{k} 1\n" for k in range(4)), "at least 8 lines"),
        ("".join(f"{k * k} 5\n" for k in range(20)), "equal steps"),
        ("".join(f"{20 - k} 5\n" for k in range(20)), "equal steps"),
        ("".join(f"{k} {k}\n" for k in range(10)) + "10 many\n", "line 11"),
        ("".join(f"{k} -5\n" for k in range(20)), "not negative"),
        ("".join(f"{k} 0\n" for k in range(20)), "does not stand out"),
        ("", "empty"),
    ],
)
def test_bad_text_is_refused_with_the_file_and_the_cause(tmp_path, content, words):
    path = tmp_path / "irf.txt"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(ParameterError, match=words) as refused:
        load_irf(str(path))
    assert str(path) in str(refused.value)


@pytest.mark.parametrize("given", [0.0, -1e-10, "0.1 parsec", "nowhere.ptu"])
def test_what_is_neither_width_nor_file_is_refused(given):
    with pytest.raises(ParameterError):
        load_irf(given)
