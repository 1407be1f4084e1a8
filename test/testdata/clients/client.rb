# What redis-rb does with nodes: TestClientsOfOtherLanguages and TestRedisClientsOutliveANode.
require "redis"

PORTS = ENV.fetch("PORTS").split
PASSWORD = ENV["PASSWORD"].to_s.empty? ? nil : ENV["PASSWORD"]
PATIENCE = 120
NOISY = ("\r\n$5\r\n".b + (0..255).to_a.pack("C*") + "\x00\r\n".b).freeze

def node
  Redis.new(host: "127.0.0.1", port: PORTS[0], password: PASSWORD, timeout: PATIENCE)
end

def cluster(timeout)
  Redis.new(cluster: PORTS.map { |p| "redis://127.0.0.1:#{p}" }, password: PASSWORD, timeout: timeout)
end

def same(what, got, want)
  abort "#{what}: #{got.inspect}, want #{want.inspect}" unless got == want
end

RELEASE = <<~LUA
  if redis.call("get",KEYS[1]) == ARGV[1] then
    return redis.call("del",KEYS[1])
  else
    return 0
  end
LUA

def basics(r, prefix)
  same "set", r.set("#{prefix}-binary", NOISY), "OK"
  same "get", r.get("#{prefix}-binary").b, NOISY
  same "get of none", r.get("#{prefix}-none"), nil
  r.setex("#{prefix}-ttl", 3600, "v")
  same "ttl", (1..3600).cover?(r.ttl("#{prefix}-ttl")), true
  same "incrby", r.incrby("#{prefix}-n", 41), 41
  same "incr", r.incr("#{prefix}-n"), 42
  want = (0...300).map { |i| format("%s-scan:%03d", prefix, i) }
  want.each_slice(100) { |keys| keys.each { |k| r.set(k, k) } }
  found = []
  cursor = "0"
  loop do
    cursor, keys = r.scan(cursor, match: "#{prefix}-scan:*", count: 100)
    found.concat(keys)
    break if cursor == "0"
  end
  same "scan", found.sort, want if prefix.end_with?("node")
  same "scan of a cluster", found.uniq.sort, want # a cluster's client asks every node
  same "take the lock", r.set("#{prefix}-lock", "mine", nx: true, ex: 60), true
  same "take it again", r.set("#{prefix}-lock", "theirs", nx: true, ex: 60), false
  same "let it go as another", r.eval(RELEASE, keys: ["#{prefix}-lock"], argv: ["theirs"]), 0
  same "let it go", r.eval(RELEASE, keys: ["#{prefix}-lock"], argv: ["mine"]), 1
end

def together(r)
  want = (0...300).map { |i| "rb-pipe-#{i}" }
  same "pipeline", r.pipelined { |p| want.each { |k| p.set(k, k) } }, ["OK"] * 300
  same "mget", r.mget(*want), want
  same "multi", r.multi { |tx| tx.set("rb-tx", "1"); tx.incr("rb-tx") }, ["OK", 2]
end

# outlive writes until there is the file STOP. What is acknowledged is there at the end.
def outlive
  acked = []
  said = 0
  r = cluster(5)
  n = 0
  until File.exist?(ENV.fetch("STOP"))
    sleep 0.01 # so that there are not too many to read
    key = "rb-#{n += 1}"
    begin
      r ||= cluster(5)
      r.set(key, "of #{key}")
      acked << key
    rescue Redis::BaseError => e
      puts "not acknowledged: #{e.class} #{e.message}"
      r = nil # redis-rb learns who is there when it connects
    end
    if acked.size - said >= 10
      said = acked.size
      puts "acked #{said}"
    end
  end
  r = cluster(PATIENCE)
  acked.each { |key| same key, r.get(key), "of #{key}" }
end

$stdout.sync = true
case ENV.fetch("MODE")
when "node"
  r = node
  basics r, "rb-node"
  together r
when "cluster"
  basics cluster(PATIENCE), "rb-cluster"
else
  outlive
end
puts "ok"
