"""Looking for a jitter buffer in memory that holds none: nothing is touched, nothing crashes."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

from firmware.telephony.sip.fixed_buffer import FixedBuffer
from firmware.telephony.sip.native import Native


@pytest.fixture(scope="module")
def native() -> Native:
    package = importlib.util.find_spec("pjsua2")
    assert package is not None
    assert package.origin is not None
    (extension,) = Path(package.origin).parent.glob("_pjsua2*.so")
    return Native(str(extension))


@pytest.mark.parametrize("address", [0, 8, 2**47 - 4096, 2**63, 2**70])
def test_an_address_where_nothing_is_fixes_nothing(native: Native, address: int) -> None:
    assert FixedBuffer(native).fix(address) is False


def test_memory_that_is_no_stream_fixes_nothing_and_stays_as_it_is(native: Native) -> None:
    size = 1 << 15
    body = native.ffi.new("char[]", size)
    here = int(native.ffi.cast("uintptr_t", body))
    words = native.ffi.cast("uint64_t *", body)
    for index in range(size // 8):
        words[index] = here + 8 * (index % 512)  # pointers that lead somewhere, and to more of them
    before = bytes(native.ffi.buffer(body, size))
    assert FixedBuffer(native).fix(here) is False
    assert bytes(native.ffi.buffer(body, size)) == before


def test_a_buffer_of_the_stream_s_name_without_its_mutex_is_not_believed(native: Native) -> None:
    body = native.ffi.new("char[]", 1 << 15)
    stream = int(native.ffi.cast("uintptr_t", body))
    name = native.ffi.new("char[]", f"strm{stream:#x}".encode())
    words = native.ffi.cast("uint64_t *", body)
    words[1000] = int(native.ffi.cast("uintptr_t", name))
    words[1001] = len(native.ffi.string(name))
    words[100] = stream + 8 * 1000
    words[99] = stream  # no mutex
    assert FixedBuffer(native).fix(stream) is False


def test_only_the_stream_s_own_buffer_is_fixed_and_what_it_holds_too_much_goes_at_the_second_look() -> None:
    child = subprocess.run(
        [sys.executable, "-m", "tests.fakes.jitter_buffers"],
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert child.returncode == 0, child.stderr
    report = json.loads(child.stdout.splitlines()[-1])
    fixed = [8, 8]
    for wrong in ("wrong name", "no mutex", "two of them", "no G.711"):
        assert report[wrong][0] is False, wrong
        assert report[wrong][1][:2] != fixed, wrong
    assert report["right"] == [True, [*fixed, 0]], "what it held is dropped"
    assert report["a little more"] == [[True, [*fixed, 11]]] * 3
    assert [look[1][2] for look in report["far more"]] == [20, 8, 8]
