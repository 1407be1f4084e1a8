package main

import (
	"log/slog"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"

	"httpdhs/node"
)

// A node may run under a service manager that wants to be told how it is, as systemd does with
// Type=notify: see sd_notify(3). It is told
//
//	READY=1      once the node answers requests. When its data is complete depends on other nodes:
//	             a manager that waited for that could start no cluster one node after the other.
//	STATUS=      what /readyz says, whenever that changes
//	WATCHDOG=1   as long as the node looks alive, if the manager wants that
//	STOPPING=1   when it begins to stop or to drain
//
// Without NOTIFY_SOCKET in the environment nobody is told anything. With it, a node that is set up
// wrongly ends with exitConfig.

// notifyEvery is how often it is looked what /readyz says.
const notifyEvery = time.Second

// supervisor is who is told.
type supervisor struct {
	log    *slog.Logger
	within time.Duration // in which it wants to hear that the node is alive; 0: it does not
	failed bool          // it could not be told, which was logged
}

// supervise tells the service manager, if there is one, how the node is, until done is closed.
func supervise(n *node.Node, log *slog.Logger, done <-chan struct{}) {
	s := &supervisor{log: log}
	status := statusLine(n)
	if !s.tell(daemon.SdNotifyReady + "\n" + status) {
		return
	}
	var err error
	if s.within, err = daemon.SdWatchdogEnabled(false); err != nil {
		log.Warn("the service manager's watchdog is not told anything", "error", err)
	}
	go s.follow(n, status, done)
}

// follow tells what changes.
func (s *supervisor) follow(n *node.Node, told string, done <-chan struct{}) {
	every := notifyEvery
	if s.within > 0 {
		every = min(every, s.within/4)
	}
	ticker := time.NewTicker(max(every, time.Millisecond))
	defer ticker.Stop()
	stopping := n.Stopping()
	var beat time.Time
	for {
		select {
		case <-done:
			return
		case <-stopping:
			stopping = nil
			s.tell(daemon.SdNotifyStopping)
		case <-ticker.C:
		}
		if status := statusLine(n); status != told {
			told = status
			s.tell(status)
		}
		if s.within == 0 || time.Since(beat) < s.within/4 {
			continue
		}
		if err := n.Alive(); err != nil {
			s.log.Error("this node hangs: the service manager is not told that it is alive", "error", err)
		} else {
			s.tell(daemon.SdNotifyWatchdog)
		}
		beat = time.Now()
	}
}

// tell sends a state. It says whether there is somebody to be told.
func (s *supervisor) tell(state string) bool {
	sent, err := daemon.SdNotify(false, state)
	if err != nil && !s.failed {
		s.failed = true
		s.log.Warn("cannot tell the service manager (NOTIFY_SOCKET) how this node is", "error", err)
	}
	return sent || err != nil
}

// statusLine is what /readyz says.
func statusLine(n *node.Node) string {
	ok, reason := n.Ready()
	if ok {
		return "STATUS=ready"
	}
	return "STATUS=not ready: " + oneLineOf(reason)
}
