<?php
// What phpredis does with nodes: TestClientsOfOtherLanguages and TestRedisClientsOutliveANode.

$ports = explode(' ', getenv('PORTS'));
$password = getenv('PASSWORD');
$mode = getenv('MODE');
$patience = 120.0;
$noisy = "\r\n\$5\r\n" . implode('', array_map('chr', range(0, 255))) . "\x00\r\n";

function node($port, $password) {
    global $patience;
    $r = new Redis();
    $r->connect('127.0.0.1', (int)$port, $patience, null, 0, $patience);
    if ($password !== '') {
        $r->auth($password);
    }
    return $r;
}

function cluster($timeout) {
    global $ports, $password;
    $seeds = array_map(fn($p) => "127.0.0.1:$p", $ports);
    return new RedisCluster(null, $seeds, $timeout, $timeout, false, $password === '' ? null : $password);
}

function same($what, $got, $want) {
    if ($got !== $want) {
        echo "$what: ", var_export($got, true), ', want ', var_export($want, true), "\n";
        exit(1);
    }
}

function basics($r, $prefix) {
    global $noisy;
    same('set', $r->set("$prefix-binary", $noisy), true);
    same('get', $r->get("$prefix-binary"), $noisy);
    same('get of none', $r->get("$prefix-none"), false);
    $r->setex("$prefix-ttl", 3600, 'v');
    $left = $r->ttl("$prefix-ttl");
    same('ttl', $left > 0 && $left <= 3600, true);
    same('incrBy', $r->incrBy("$prefix-n", 41), 41);
    same('incr', $r->incr("$prefix-n"), 42);
    $values = [];
    for ($i = 0; $i < 300; $i++) {
        $values[sprintf('%s-scan:%03d', $prefix, $i)] = "v$i";
    }
    same('mset', $r->mset($values), true);
    same('mget', $r->mget(array_keys($values)), array_values($values));
    same('scan', scan($r, "$prefix-scan:*"), array_keys($values));
    same('take the lock', $r->set("$prefix-lock", 'mine', ['nx', 'ex' => 60]), true);
    same('take it again', $r->set("$prefix-lock", 'theirs', ['nx', 'ex' => 60]), false);
    $release = 'if redis.call("get",KEYS[1]) == ARGV[1] then return redis.call("del",KEYS[1]) else return 0 end';
    same('let it go as another', $r->eval($release, ["$prefix-lock", 'theirs'], 1), 0);
    same('let it go', $r->eval($release, ["$prefix-lock", 'mine'], 1), 1);
    $r->multi();
    $r->set("$prefix-tx", '1');
    $r->incr("$prefix-tx");
    same('multi', $r->exec(), [true, 2]);
}

// Any node lists all keys.
function scan($r, $pattern) {
    $found = [];
    $cursor = null;
    do {
        $keys = $r instanceof RedisCluster ? $r->scan($cursor, $r->_masters()[0], $pattern, 100) : $r->scan($cursor, $pattern, 100);
        $found = array_merge($found, $keys ?: []);
    } while ($cursor > 0);
    sort($found);
    return $found;
}

// outlive writes until there is the file STOP. What is acknowledged is there at the end.
function outlive() {
    $acked = [];
    $said = 0;
    $r = cluster(5.0);
    for ($n = 0; !file_exists(getenv('STOP')); $n++) {
        clearstatcache();
        usleep(10000); // so that there are not too many to read
        try {
            $r ??= cluster(5.0);
            if ($r->set("php-$n", "of php-$n")) {
                $acked[] = "php-$n";
            }
        } catch (RedisClusterException | RedisException $e) {
            echo 'not acknowledged: ', $e->getMessage(), "\n";
            $r = null; // phpredis learns who is there when it connects
        }
        if (count($acked) - $said >= 10) {
            $said = count($acked);
            echo "acked $said\n";
        }
    }
    $r = cluster(120.0);
    foreach ($acked as $key) {
        same($key, $r->get($key), "of $key");
    }
}

if ($mode === 'node') {
    $r = node($ports[0], $password);
    basics($r, 'php-node');
    $pipe = $r->multi(Redis::PIPELINE);
    $pipe->set('php-pipe', '1')->incr('php-pipe')->get('php-pipe');
    same('pipeline', $pipe->exec(), [true, 2, '2']);
} elseif ($mode === 'cluster') {
    $r = cluster($patience);
    same('nodes', count($r->_masters()), count($ports));
    basics($r, 'php-cluster');
} else {
    outlive();
}
echo "ok\n";
