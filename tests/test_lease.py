"""A lease has one holder; one that gives no sign of life is followed by another, and sees it."""

import json
import threading
import time
import uuid

import pytest

from corpusforge import lease as leases
from corpusforge.lease import EXPIRY, Lease
from corpusforge.shard import read_json
from corpusforge.storage import write_bytes


@pytest.fixture(params=["disk", "memory"])
def root(request, tmp_path):
    return str(tmp_path) if request.param == "disk" else f"memory://{uuid.uuid4().hex}"


def foreign(root, number, age, **more):
    """Write the file of a holder on another host that gave its last sign ``age`` seconds ago."""
    values = {**leases.identity(), "host": "elsewhere", "heartbeat": time.time() - age, **more}
    path = f"{root}/lease/run/{number:08d}.json"
    write_bytes(path, json.dumps(values).encode())
    return path


def test_of_many_that_take_it_at_once_one_holds(root):
    """The others are told who does; each next one takes it when it is given back."""
    several = [Lease(root, "run", which=n) for n in range(8)]
    answers = [None] * 8

    def take(n):
        answers[n] = several[n].take()

    for _ in range(3):
        threads = [threading.Thread(target=take, args=(n,)) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        (winner,) = [n for n in range(8) if answers[n] is None]
        assert {answers[n]["which"] for n in range(8) if n != winner} == {winner}
        assert [n for n in range(8) if several[n].mine()] == [winner]
        several[winner].release()
        assert not several[winner].mine() and several[winner].holder() is None


def test_who_gives_signs_of_life_keeps_it(root):
    """However it began."""
    path = foreign(root, 1, EXPIRY / 2)
    before = read_json(path)
    assert Lease(root, "run").take()["host"] == "elsewhere"
    assert read_json(path) == before


def test_who_gives_none_is_followed_and_sees_it(root, monkeypatch):
    """The next number takes it; the old holder's is no more, and it may not renew."""
    monkeypatch.setattr(leases, "HEARTBEAT", 0.05)
    old, new = Lease(root, "run"), Lease(root, "run")
    assert old.take() is None
    foreign(root, 1, EXPIRY + 1, token=old.me["token"])
    assert new.take() is None
    old.renew()
    old.release()
    assert new.mine() and not old.mine()


def test_a_holder_whose_clock_is_behind_is_seen_to_renew(root, monkeypatch):
    """Its last sign looks old, yet another comes while it is watched."""
    monkeypatch.setattr(leases, "HEARTBEAT", 0.5)
    foreign(root, 1, EXPIRY + 100)
    timer = threading.Timer(0.4, foreign, (root, 1, EXPIRY + 99))
    timer.start()
    assert Lease(root, "run").take()["host"] == "elsewhere"
    timer.join()


def test_an_old_listing_does_no_harm(root, monkeypatch):
    """Who is told of an ended holder only finds the present one by its put."""
    first, second = Lease(root, "run"), Lease(root, "run")
    assert first.take() is None
    first.release()
    assert second.take() is None
    monkeypatch.setattr(Lease, "_last", lambda self: 0)
    assert Lease(root, "run").take()["token"] == second.me["token"]
