"""Which instruction set runs, and what is said of one that cannot."""

import numpy as np
import pytest

from gatewise import kernels
from gatewise.errors import KernelUnavailable
from gatewise.kernels import LSTMCall, native
from gatewise.kernels.native import ISAS, Native
from gatewise.kernels.pooling import segment_reduce
from gatewise.network.ops import Ops
from tests.kernels.batches import HERE, given, needs_native
from tests.refusals import assert_refused

pytestmark = needs_native


def test_the_best_instruction_set_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GATEWISE_ISA", raising=False)
    assert native.float32_isa() == HERE[0]
    assert HERE[-1] == "portable"
    assert [name for name in ISAS if name in HERE] == list(HERE)


@pytest.mark.parametrize("name", HERE)
def test_the_environment_forces_an_instruction_set(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWISE_ISA", name)
    assert native.float32_isa() == name
    assert kernels.unavailable_reason("native") is None
    lanes = {"avx512": 16, "avx2": 8, "neon": 4, "portable": 4}[name]
    assert Native().lanes(37) == lanes
    out = Native().forward(LSTMCall(**given()))
    assert out.saved.packed_gates.shape[1:] == (-(-37 // lanes), 4, lanes)


@pytest.mark.parametrize("name", ["avx9", "AVX512"])
def test_an_unknown_instruction_set_is_refused(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWISE_ISA", name)
    reason = "unknown instruction set"
    assert_refused(f"GATEWISE_ISA is '{name}'.*{reason}.*portable", native.float32_isa, error=KernelUnavailable)
    assert reason in (kernels.unavailable_reason("native") or "")
    assert_refused(reason, Native, isa=name, error=KernelUnavailable)
    for lacking in set(ISAS) - set(HERE):
        assert_refused("this machine cannot run it", Native, isa=lacking, error=KernelUnavailable)


def test_float32_takes_the_best_one_where_amx_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """GATEWISE_ISA=amx chooses the build of the bfloat16 products; all else runs in float32 (as the pads, Adam)."""
    monkeypatch.setenv("GATEWISE_ISA", "amx")
    monkeypatch.setattr(native, "isas_bf16", lambda: ("amx", "avx512"))
    bf16 = Native(precision="bf16")
    assert bf16._isa == "amx_bf16"
    assert kernels.fastest_precision() == "bf16"
    assert native.float32_isa() == HERE[0]
    assert kernels.unavailable_reason("native") is None
    assert kernels.get().name == "native"
    assert Native().forward(LSTMCall(**given())).h.any()
    x = np.ones((3, 2), np.float32)
    assert segment_reduce(x, np.array([3]), "sum").tolist() == [[3, 3]]
    assert Ops(bf16).pad_kernel.lanes(4) == Native(isa=HERE[0]).lanes(4)
    monkeypatch.setattr(native, "isas_bf16", lambda: ())
    assert_refused("GATEWISE_ISA is 'amx': this machine cannot run it", kernels.get, error=KernelUnavailable)


def test_an_extension_of_another_version_is_said_and_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """Adam fell back to NumPy without a word where the extension had no `adam_step`."""
    native.imported.cache_clear()
    monkeypatch.setattr(native, "_VERSION", 1 << 20)
    try:
        reason = "the C++ extension is that of another version: install gatewise again"
        assert kernels.unavailable_reason("native") == reason
        assert_refused("install gatewise again", kernels.get, "native", error=KernelUnavailable)
    finally:
        monkeypatch.undo()
        native.imported.cache_clear()
    assert kernels.unavailable_reason("native") is None
