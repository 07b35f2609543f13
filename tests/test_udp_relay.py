"""The network in between: what its schedule does to packets, and that the relay does just that."""

from __future__ import annotations

import itertools
import socket
import statistics
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.fakes.udp_relay import UdpRelay
from tests.fakes.udp_schedule import Bursts, Fate, Network, Schedule

PACKETS = 4000
SPACING = 0.02
SIZE = 172  # RTP with 20 ms of G.711


def walk(network: Network, seed: int = 1, packets: int = PACKETS) -> list[tuple[float, ...]]:
    """Delays in ms of a steady stream's packets, () where lost."""
    schedule = Schedule(network, seed)
    return [
        tuple((at - index * SPACING) * 1000 for at in schedule.releases(index, SIZE, index * SPACING))
        for index in range(packets)
    ]


@contextmanager
def two_ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    near, far = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
    with near, far:
        for end in (near, far):
            end.bind(("127.0.0.1", 0))
            end.settimeout(5)
        yield near, far


def test_a_calm_network_lets_everything_through_at_once() -> None:
    assert walk(Network()) == [pytest.approx((0.0,))] * PACKETS


@pytest.mark.parametrize("loss", [0.01, 0.03, 0.05, 0.1])
def test_as_many_packets_are_lost_as_asked_for_and_others_with_another_seed(loss: float) -> None:
    first, again, other = (
        [Schedule(Network(loss=loss), seed).fate(n).lost for n in range(PACKETS)] for seed in (1, 1, 2)
    )
    assert first == again
    assert first != other
    expected = PACKETS * loss
    assert abs(sum(first) - expected) < 4 * (expected * (1 - loss)) ** 0.5


def test_a_packets_fate_hangs_on_its_number_alone() -> None:
    network = Network(loss=0.1, jitter_ms=20, reorder=0.05, duplicate=0.05, bursts=Bursts(0.02, 0.3))
    forward = Schedule(network, 7)
    fates = [forward.fate(n) for n in range(500)]
    backward = Schedule(network, 7)
    assert [backward.fate(n) for n in reversed(range(500))] == fates[::-1]


def test_more_loss_of_the_same_seed_loses_the_same_packets_and_more() -> None:
    few, many = ({n for n in range(PACKETS) if Schedule(Network(loss=p), 3).fate(n).lost} for p in (0.01, 0.05))
    assert few < many


def test_bursts_are_as_long_and_as_frequent_as_asked_for() -> None:
    lost = [not delays for delays in walk(Network(bursts=Bursts(to_bad=0.01, to_good=0.25)), packets=20_000)]
    runs = [len(run) for run in "".join("x" if gone else " " for gone in lost).split()]
    assert 3.3 < statistics.mean(runs) < 4.8
    assert 0.028 < sum(lost) / len(lost) < 0.05


def test_jitter_keeps_the_order_and_its_bounds() -> None:
    delays = [one[0] for one in walk(Network(jitter_ms=60, delay_ms=5))]
    assert min(delays) >= 5
    assert max(delays) <= 65 + 1e-6
    assert statistics.pstdev(delays) > 10
    arrivals = [index * SPACING * 1000 + delay for index, delay in enumerate(delays)]
    assert all(after > before - 1e-6 for before, after in itertools.pairwise(arrivals))


def test_an_overtaken_packet_comes_after_its_successor_and_holds_nobody_up() -> None:
    delays = [one[0] for one in walk(Network(reorder=0.05, reorder_ms=30))]
    assert {round(delay) for delay in delays} == {0, 30}
    assert 0.03 < sum(delay > 1 for delay in delays) / PACKETS < 0.07


def test_a_doubled_packet_comes_twice() -> None:
    doubled = [delays for delays in walk(Network(duplicate=0.05)) if len(delays) == 2]
    assert 0.03 < len(doubled) / PACKETS < 0.07
    assert doubled[0] == pytest.approx((0.0, 5.0))


def test_a_link_too_slow_for_the_call_fills_its_queue_and_drops_until_it_is_faster_again() -> None:
    delays = walk(Network(rates=((0, 0), (100, 64_000), (300, 1_000_000)), queue_ms=200), packets=400)
    assert delays[:100] == [pytest.approx((0.0,))] * 100
    slow = delays[100:300]
    # 200 bytes need 25 ms of a 64 kbit/s link and come every 20.
    assert slow[0] == pytest.approx((25.0,))
    assert slow[10] == pytest.approx((75.0,))
    assert () in slow
    assert max(one[0] for one in slow if one) <= 225 + 1e-6
    assert delays[399] == pytest.approx((1.6,))


def test_packets_before_the_first_are_spared() -> None:
    schedule = Schedule(Network(loss=1.0, first=3), 1)
    assert [schedule.fate(n).lost for n in range(5)] == [False, False, False, True, True]
    assert schedule.fate(0) == Fate(lost=False)


def test_impossible_weather_is_refused() -> None:
    with pytest.raises(ValueError, match=r"loss 1\.5: a chance goes from 0 to 1"):
        Network(loss=1.5)
    with pytest.raises(ValueError, match="negative"):
        Network(delay_ms=-1)


def test_the_relay_carries_both_ways_and_loses_just_the_packets_of_its_schedule() -> None:
    network = Network(loss=0.3)
    with two_ends() as (near, far), UdpRelay(far=far.getsockname(), inward=network, seed=4) as relay:
        near.sendto(b"hello", ("127.0.0.1", relay.near_port))
        assert far.recvfrom(100) == (b"hello", ("127.0.0.1", relay.far_port))
        for n in range(100):
            far.sendto(bytes([n]), ("127.0.0.1", relay.far_port))
        far.sendto(b"end", ("127.0.0.1", relay.far_port))
        schedule = Schedule(network, 2 * 4 + 1)
        expected = [n for n in range(100) if not schedule.fate(n).lost]
        assert [near.recv(100)[0] for _ in expected] == expected
        assert relay.outward == (1, 1)
        assert relay.inward[1] >= len(expected)


def test_the_relay_holds_a_packet_back_as_long_as_its_schedule_says() -> None:
    held = Network(reorder=1.0, reorder_ms=600, first=1)
    with two_ends() as (near, far), UdpRelay(far=far.getsockname(), inward=held, seed=1) as relay:
        relay.face(near.getsockname())
        to = ("127.0.0.1", relay.far_port)
        for word in (b"at once", b"held back"):
            far.sendto(word, to)
        assert near.recv(100) == b"at once"
        near.settimeout(0.02)
        with pytest.raises(TimeoutError):
            near.recv(100)
        near.settimeout(5)
        assert near.recv(100) == b"held back"
