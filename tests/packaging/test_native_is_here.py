"""An install without a compiler goes on without the native kernel; the tests must not, or they would test half."""

from gatewise import kernels


def test_the_native_kernel_was_compiled() -> None:
    assert kernels.unavailable_reason("native") is None
