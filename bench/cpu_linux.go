package bench

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// selfTime is the processor time of this process.
func selfTime() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// clockTick is the unit of /proc/PID/stat: USER_HZ is 100 on every
// architecture that Go knows.
const clockTick = time.Second / 100

// processTime is the processor time of a process, 0 if it is gone.
func processTime(pid int) time.Duration {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return 0
	}
	return parseStat(stat)
}

// parseStat reads utime and stime (fields 14 and 15, proc_pid_stat(5)). The
// name before them is in brackets and may hold anything.
func parseStat(stat []byte) time.Duration {
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(fields) < 13 {
		return 0
	}
	user, _ := strconv.ParseInt(string(fields[11]), 10, 64)
	system, _ := strconv.ParseInt(string(fields[12]), 10, 64)
	return time.Duration(user+system) * clockTick
}

// listeners finds the processes of this machine that listen on the addresses:
// the sockets in /proc/net/tcp, and whose they are in /proc/PID/fd. Processes
// of others are not seen without the right to.
func listeners(addrs []*net.TCPAddr) []Process {
	var local []netip.AddrPort
	for _, a := range addrs {
		if ap := a.AddrPort(); isLocal(ap.Addr().Unmap()) {
			local = append(local, netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port()))
		}
	}
	if len(local) == 0 {
		return nil
	}
	inodes := map[string]bool{}
	for _, file := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		table, _ := os.ReadFile(file)
		for _, inode := range listenInodes(table, local) {
			inodes["socket:["+inode+"]"] = true
		}
	}
	var found []Process
	links, _ := filepath.Glob("/proc/[0-9]*/fd/*")
	for _, link := range links {
		target, err := os.Readlink(link)
		if err != nil || !inodes[target] {
			continue
		}
		pid, _ := strconv.Atoi(strings.Split(link, "/")[2])
		if slices.ContainsFunc(found, func(p Process) bool { return p.PID == pid }) {
			continue
		}
		name, _ := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/comm")
		found = append(found, Process{PID: pid, Name: strings.TrimSpace(string(name))})
	}
	return found
}

func isLocal(addr netip.Addr) bool {
	if addr.IsLoopback() {
		return true
	}
	own, _ := net.InterfaceAddrs()
	return slices.ContainsFunc(own, func(a net.Addr) bool {
		n, ok := a.(*net.IPNet)
		return ok && n.IP.Equal(addr.AsSlice())
	})
}

// listenInodes reads a table of sockets (proc_net_tcp in the kernel's
// documentation) for those that listen on one of the addresses.
func listenInodes(table []byte, addrs []netip.AddrPort) []string {
	const local, state, inode, listening = 1, 3, 9, "0A"
	var found []string
	for line := range strings.Lines(string(table)) {
		f := strings.Fields(line)
		if len(f) <= inode || f[state] != listening {
			continue
		}
		at, ok := parseProcAddr(f[local])
		if ok && slices.ContainsFunc(addrs, func(a netip.AddrPort) bool {
			return a.Port() == at.Port() && (at.Addr().IsUnspecified() || at.Addr() == a.Addr())
		}) {
			found = append(found, f[inode])
		}
	}
	return found
}

// parseProcAddr reads 0100007F:04D2: words of the address in the byte order of
// the machine, the port as one reads it.
func parseProcAddr(s string) (netip.AddrPort, bool) {
	host, port, _ := strings.Cut(s, ":")
	raw, err := hex.DecodeString(host)
	n, err2 := strconv.ParseUint(port, 16, 16)
	if err != nil || err2 != nil || len(raw)%4 != 0 {
		return netip.AddrPort{}, false
	}
	for i := 0; i < len(raw); i += 4 {
		binary.BigEndian.PutUint32(raw[i:], binary.NativeEndian.Uint32(raw[i:]))
	}
	addr, ok := netip.AddrFromSlice(raw)
	return netip.AddrPortFrom(addr.Unmap(), uint16(n)), ok
}
