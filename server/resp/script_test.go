package resp

import (
	"crypto/sha1"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"
)

// evalOf is EVAL of a script with one key, as bytes.
func evalOf(script string, args ...string) string {
	words := append([]string{"EVAL", script, "1"}, args...)
	text := fmt.Sprintf("*%d\r\n", len(words))
	for _, word := range words {
		text += fmt.Sprintf("$%d\r\n%s\r\n", len(word), word)
	}
	return text
}

const (
	compareAndDelete = "if redis.call(\"get\",KEYS[1]) == ARGV[1] then\n    return redis.call(\"del\",KEYS[1])\nelse\n    return 0\nend"
	compareAndRenew  = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('PEXPIRE', KEYS[1], ARGV[2]) else return 0 end"

	// Those of redis-py.
	pyRelease = "\n        local token = redis.call('get', KEYS[1])\n        if not token or token ~= ARGV[1] then\n            return 0\n" +
		"        end\n        redis.call('del', KEYS[1])\n        return 1\n    "
	pyExtend = `
        local token = redis.call('get', KEYS[1])
        if not token or token ~= ARGV[1] then
            return 0
        end
        local expiration = redis.call('pttl', KEYS[1])
        if not expiration then
            expiration = 0
        end
        if expiration < 0 then
            return 0
        end

        local newttl = ARGV[2]
        if ARGV[3] == "0" then
            newttl = ARGV[2] + expiration
        end
        redis.call('pexpire', KEYS[1], newttl)
        return 1
    `
	pyReacquire = `
        local token = redis.call('get', KEYS[1])
        if not token or token ~= ARGV[1] then
            return 0
        end
        redis.call('pexpire', KEYS[1], ARGV[2])
        return 1
    `

	springObtain = "local lockClientId = redis.call('GET', KEYS[1])\nif lockClientId == ARGV[1] then\n  redis.call('PEXPIRE', KEYS[1], ARGV[2])\n" +
		"  return true\nelseif not lockClientId then\n  redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])\n  return true\nend\nreturn false"
	redsyncDelete = "\n\tlocal val = redis.call(\"GET\", KEYS[1])\n\tif val == ARGV[1] then\n\t\treturn redis.call(\"DEL\", KEYS[1])\n" +
		"\telseif val == false then\n\t\treturn -1\n\telse\n\t\treturn 0\n\tend\n"
	nodeAcquire = `
  -- Return 0 if an entry already exists.
  for i, key in ipairs(KEYS) do
    if redis.call("exists", key) == 1 then
      return 0
    end
  end

  -- Create an entry for each provided key.
  for i, key in ipairs(KEYS) do
    redis.call("set", key, ARGV[1], "PX", ARGV[2])
  end

  -- Return the number of entries added.
  return #KEYS
`
	nodeExtend = `
  -- Return 0 if an entry exists with a *different* lock value.
  for i, key in ipairs(KEYS) do
    if redis.call("get", key) ~= ARGV[1] then
      return 0
    end
  end
  for i, key in ipairs(KEYS) do
    redis.call("set", key, ARGV[1], "PX", ARGV[2])
  end
  return #KEYS
`
	nodeRelease = `
  local count = 0
  for i, key in ipairs(KEYS) do
    -- Only remove entries for *this* lock value.
    if redis.call("get", key) == ARGV[1] then
      redis.pcall("del", key)
      count = count + 1
    end
  end

  -- Return the number of entries removed.
  return count
`
	rubyLock = `
      if (redis.call("exists", KEYS[1]) == 0 and ARGV[3] == "yes") or redis.call("get", KEYS[1]) == ARGV[1] then
        return redis.call("set", KEYS[1], ARGV[1], "PX", ARGV[2])
      end
`
)

// The scripts of locks do what they say, whatever they look like. TestLocksAreThoseOfRedis plays
// the same on redis-server.
var lockSteps = []struct{ send, want string }{
	{"SET l me\r\n", "+OK\r\n"},
	{evalOf(compareAndDelete, "l", "other"), ":0\r\n"},
	{evalOf(compareAndDelete, "l", "me"), ":1\r\n"},
	{evalOf(compareAndDelete, "l", "me"), ":0\r\n"},
	{evalOf(redsyncDelete, "l", "me"), ":-1\r\n"},
	{"SET l me\r\n", "+OK\r\n"},
	{evalOf(redsyncDelete, "l", "other"), ":0\r\n"},
	{evalOf(redsyncDelete, "l", "me"), ":1\r\n"},
	{evalOf("-- unlock\nif (redis.call('GET', KEYS[1]) == ARGV[1]) then\n  return redis.call('UNLINK', KEYS[1]);\nend\nreturn 0", "l", "me"), ":0\r\n"},
	{evalOf("if ARGV[1] == redis.call('get',KEYS[1]) then return redis.call('del',KEYS[1]) end", "l", "me"), "$-1\r\n"},

	{"SET l me\r\n", "+OK\r\n"},
	{evalOf(compareAndRenew, "l", "other", "100000"), ":0\r\n"},
	{"TTL l\r\n", ":-1\r\n"},
	{evalOf(compareAndRenew, "l", "me", "100000"), ":1\r\n"},
	{"TTL l\r\n", ":100\r\n"},
	{evalOf("if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('expire', KEYS[1], ARGV[2]) end return 0", "l", "me", "50"), ":1\r\n"},
	{"TTL l\r\n", ":50\r\n"},
	{evalOf(pyExtend, "l", "me", "50000", "0"), ":1\r\n"},
	{"TTL l\r\n", ":100\r\n"},
	{evalOf(pyExtend, "l", "me", "70000", "1"), ":1\r\n"},
	{"TTL l\r\n", ":70\r\n"},
	{evalOf(pyExtend, "l", "other", "70000", "1"), ":0\r\n"},
	{evalOf(pyReacquire, "l", "other", "20000"), ":0\r\n"},
	{evalOf(pyReacquire, "l", "me", "20000"), ":1\r\n"},
	{"TTL l\r\n", ":20\r\n"},
	{"PERSIST l\r\n", ":1\r\n"},
	{evalOf(pyExtend, "l", "me", "70000", "1"), ":0\r\n"},
	{evalOf(pyRelease, "l", "other"), ":0\r\n"},
	{evalOf(pyRelease, "l", "me"), ":1\r\n"},
	{evalOf(pyExtend, "l", "me", "70000", "1"), ":0\r\n"},

	{evalOf(springObtain, "l", "me", "30000"), ":1\r\n"},
	{evalOf(springObtain, "l", "other", "90000"), "$-1\r\n"},
	{evalOf(springObtain, "l", "me", "60000"), ":1\r\n"},
	{"TTL l\r\nGET l\r\n", ":60\r\n$2\r\nme\r\n"},
	{evalOf(nodeAcquire, "l", "me", "1000"), ":0\r\n"},
	{evalOf(nodeExtend, "l", "other", "1000"), ":0\r\n"},
	{evalOf(nodeExtend, "l", "me", "40000"), ":1\r\n"},
	{"TTL l\r\n", ":40\r\n"},
	{evalOf(nodeRelease, "l", "other"), ":0\r\n"},
	{evalOf(nodeRelease, "l", "me"), ":1\r\n"},
	{evalOf(nodeAcquire, "l", "me", "80000"), ":1\r\n"},
	{"TTL l\r\nGET l\r\n", ":80\r\n$2\r\nme\r\n"},
	{evalOf(rubyLock, "l", "other", "1000", "yes"), "$-1\r\n"},
	{evalOf(rubyLock, "l", "me", "30000", "no"), "+OK\r\n"},
	{"TTL l\r\nDEL l\r\n", ":30\r\n:1\r\n"},
	{evalOf(rubyLock, "l", "me", "30000", "no"), "$-1\r\n"},
	{evalOf(rubyLock, "l", "me", "30000", "yes"), "+OK\r\n"},
	{evalOf("if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('pttl', KEYS[1]) else return -3 end", "l", "x"), ":-3\r\n"},
	{"PERSIST l\r\n", ":1\r\n"},
	{evalOf("if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('pttl', KEYS[1]) else return -3 end", "l", "me"), ":-1\r\n"},
	{evalOf("return { redis.call('get', KEYS[1]), redis.call('pttl', KEYS[1]) }", "l"), "*2\r\n$2\r\nme\r\n:-1\r\n"},
	{evalOf("return { redis.call('get', KEYS[1]), redis.call('pttl', KEYS[1]) }", "none"), "*2\r\n$-1\r\n:-2\r\n"},
	{"MULTI\r\n" + evalOf(compareAndDelete, "l", "me") + "EXEC\r\n", "+OK\r\n+QUEUED\r\n*1\r\n:1\r\n"},
}

func playLocks(t *testing.T, c *client) {
	t.Helper()
	for _, step := range lockSteps {
		c.say(step.send, step.want)
	}
}

// The scripts of locks are recognised and carried out.
func TestLocksAreScripts(t *testing.T) {
	_, _, addr := start(t, Options{})
	playLocks(t, dial(t, addr))
}

// A script that is known can be asked for by its digest, once its text has come.
func TestScriptsAreFoundByDigest(t *testing.T) {
	_, _, addr := start(t, Options{})
	c := dial(t, addr)
	sum := sha1.Sum([]byte(pyRelease))
	name := hex.EncodeToString(sum[:])
	c.say("EVALSHA "+name+" 1 l me\r\n", "-"+errNoScript+"\r\n")
	c.say("SCRIPT EXISTS "+name+"\r\n", "*1\r\n:0\r\n")
	c.say(fmt.Sprintf("*3\r\n$6\r\nSCRIPT\r\n$4\r\nLOAD\r\n$%d\r\n%s\r\n", len(pyRelease), pyRelease), "$40\r\n"+name+"\r\n")
	c.say("SCRIPT EXISTS "+name+" "+strings.ToUpper(name)+" x\r\n", "*3\r\n:1\r\n:1\r\n:0\r\n")
	c.say("SET l me\r\nEVALSHA "+strings.ToUpper(name)+" 1 l me\r\nEXISTS l\r\n", "+OK\r\n:1\r\n:0\r\n")
	c.say("SCRIPT FLUSH\r\nEVALSHA "+name+" 1 l me\r\n", "+OK\r\n-"+errNoScript+"\r\n")
	c.say(evalOf(pyRelease, "l", "me")+"EVALSHA "+name+" 1 l me\r\n", ":0\r\n:0\r\n")
}

// Any other script is refused, and so is one that only looks like a lock's.
func TestOtherScriptsAreRefused(t *testing.T) {
	_, store, addr := start(t, Options{})
	c := dial(t, addr)
	for _, script := range []string{
		"return 1", "", "--[[ not closed", "return 'not closed", strings.Repeat(" ", scriptBytesMax) + compareAndDelete,
		strings.Replace(compareAndDelete, "==", "~=", 1),
		strings.Replace(compareAndDelete, "ARGV[1]", "ARGV[2]", 1),
		strings.Replace(compareAndDelete, "\"del\",KEYS[1]", "\"del\",KEYS[2]", 1),
		strings.Replace(compareAndDelete, "return 0", "return 2", 1),
		strings.Replace(compareAndDelete, "ARGV[1]", "'ARGV[1]'", 1),
		strings.Replace(compareAndDelete, "then", "or true then", 1),
		strings.Replace(compareAndDelete, "\"get\"", "get", 1),
		"redis.call('del', 'x') " + compareAndDelete, compareAndDelete + " redis.call('del', 'x')",
	} {
		c.say(evalOf(script, "l", "me"), "-"+errScript+"\r\n")
	}
	c.say("EVAL \"return 1\" abc\r\n", "-ERR value is not an integer or out of range\r\n")
	c.say("EVAL \"return 1\" -1\r\n", "-ERR Number of keys can't be negative\r\n")
	c.say("EVAL \"return 1\" 1\r\n", "-ERR Number of keys can't be greater than number of args\r\n")
	c.say(evalOf(compareAndRenew, "l", "me"), "-ERR Lua redis lib command arguments must be strings or integers\r\n")
	c.say(evalOf(compareAndRenew, "l", "me", "x"), "-ERR value is not an integer or out of range\r\n")
	c.say(evalOf(compareAndDelete, "", "me"), "-ERR the key is empty, and this store has no such keys\r\n")
	if store.calls > 0 {
		t.Error("the store was asked")
	}
}

// A lock that is extended stays whose it is, although somebody else takes it meanwhile.
func TestExtendSeesWhoTookTheLock(t *testing.T) {
	_, store, addr := start(t, Options{})
	c := dial(t, addr)
	c.say("SET l me PX 50000\r\n", "+OK\r\n")
	calls := 0
	store.before = func() {
		if calls++; calls == 2 { // the lock was read
			store.mu.Lock()
			e := store.entries["l"]
			store.version++
			e.Version, e.Value = store.version, []byte("other")
			store.entries["l"] = e
			store.mu.Unlock()
		}
	}
	c.say(evalOf(pyExtend, "l", "me", "50000", "0"), ":0\r\n")
	c.say("TTL l\r\nGET l\r\n", ":50\r\n$5\r\nother\r\n")
}
