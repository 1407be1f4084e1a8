"""What redis-py does with nodes: TestClientsOfOtherLanguages and TestRedisClientsOutliveANode."""
import os
import time

import redis
from redis.cluster import ClusterNode, RedisCluster

ports = [int(p) for p in os.environ["PORTS"].split()]
password = os.environ["PASSWORD"] or None
mode = os.environ["MODE"]
patience = 120

noisy = b"\r\n$5\r\n" + bytes(range(256)) + b"\x00\r\n"


def node(port):
    return redis.Redis(host="127.0.0.1", port=port, password=password, socket_timeout=patience)


def cluster(timeout=patience):
    nodes = [ClusterNode("127.0.0.1", p) for p in ports]
    return RedisCluster(startup_nodes=nodes, password=password, socket_timeout=timeout)


def same(what, got, want):
    if got != want:
        raise SystemExit(f"{what}: {got!r}, want {want!r}")


def fails(what, error, do):
    try:
        do()
    except error:
        return
    raise SystemExit(f"{what} does not fail")


def basics(r, prefix):
    same("set", r.set(f"{prefix}-binary", noisy), True)
    same("get", r.get(f"{prefix}-binary"), noisy)
    same("get of none", r.get(f"{prefix}-none"), None)
    r.setex(f"{prefix}-ttl", 3600, "v")
    same("ttl", 0 < r.ttl(f"{prefix}-ttl") <= 3600, True)
    same("incrby", r.incrby(f"{prefix}-n", 41), 41)
    same("incr", r.incr(f"{prefix}-n"), 42)
    want = sorted(f"{prefix}-scan:{i:03d}".encode() for i in range(300))
    pipe = r.pipeline(transaction=False)
    for key in want:
        pipe.set(key, key)
    same("pipeline", pipe.execute(), [True] * 300)
    same("mget", r.mget(want) if prefix == "node" else r.mget_nonatomic(want), want)
    one = {} if prefix == "node" else {"target_nodes": r.get_primaries()[0]}  # any one lists all keys
    same("scan", sorted(r.scan_iter(f"{prefix}-scan:*", count=100, **one)), want)
    same("delete", r.delete(f"{prefix}-ttl"), 1)


def lock(r):
    mine = r.lock("lock", timeout=60)
    same("acquire", mine.acquire(blocking=False), True)
    same("acquire by another", r.lock("lock", timeout=60).acquire(blocking=False), False)
    same("extend", mine.extend(60), True)
    same("extended", 61 < r.ttl("lock") <= 120, True)
    same("extend anew", mine.extend(30, replace_ttl=True), True)
    same("extended anew", r.ttl("lock") <= 30, True)
    same("reacquire", mine.reacquire(), True)
    r.set("lock", "another")
    fails("release of a lost lock", redis.exceptions.LockNotOwnedError, mine.release)
    r.delete("lock")
    with r.lock("lock", timeout=60, blocking_timeout=patience):
        same("held", r.exists("lock"), 1)
    same("released", r.exists("lock"), 0)


def transaction(r):
    pipe = r.pipeline(transaction=True)
    pipe.set("py-tx", "1")
    pipe.incr("py-tx")
    same("multi", pipe.execute(), [True, 2])


def outlive():
    """Writes until there is the file STOP. What is acknowledged is there at the end."""
    r, acked, said = cluster(5), [], 0
    n = 0
    while not os.path.exists(os.environ["STOP"]):
        time.sleep(0.01)  # so that there are not too many to read
        key, n = f"py-{n}", n + 1
        try:
            r.set(key, f"of {key}")
            acked.append(key)
        except redis.RedisError as e:
            print("not acknowledged:", repr(e), flush=True)
        if len(acked) - said >= 10:
            said = len(acked)
            print("acked", said, flush=True)
    r = cluster()
    for key in acked:
        same(key, r.get(key), f"of {key}".encode())


if mode == "node":
    fails("another password", redis.RedisError, lambda: redis.Redis(port=ports[0], password="another").ping())
    r = node(ports[0])
    basics(r, mode)
    lock(r)
    transaction(r)
elif mode == "cluster":
    r = cluster()
    same("nodes", sorted(n.port for n in r.get_primaries()), sorted(ports))
    basics(r, mode)
else:
    outlive()
print("ok")
