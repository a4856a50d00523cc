package accesslog

import (
	"fmt"
	"os"
	"syscall"
)

// Open makes a Log that writes to path: "stdout", "stderr", or a file that is appended to and made with mode 0640. Capacity
// is as for New.
func Open(path string, capacity int) (*Log, error) {
	f, err := open(path)
	if err != nil {
		return nil, err
	}
	l := newLog(capacity)
	l.out, l.opened = f, true
	if path != "stdout" && path != "stderr" {
		l.path = path
	}
	go l.write()
	return l, nil
}

func open(path string) (*os.File, error) {
	switch path {
	case "stdout":
		return standard(1, path)
	case "stderr":
		return standard(2, path)
	case "":
		return nil, fmt.Errorf("access log: no path; use stdout, stderr or a file")
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o640)
	if err != nil {
		return nil, fmt.Errorf("access log: %w", err)
	}
	return f, nil
}

// standard opens a copy of descriptor 1 or 2. On those two themselves a broken pipe would end the process (os/signal,
// SIGPIPE): a log reader that dies must not take the edge with it.
func standard(fd int, name string) (*os.File, error) {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	dup, err := syscall.Dup(fd)
	if err != nil {
		return nil, fmt.Errorf("access log: %s: %w", name, err)
	}
	syscall.CloseOnExec(dup)
	return os.NewFile(uintptr(dup), name), nil
}

// Reopen opens the Log's path again, for a log rotation that has moved the file away, and lets the writer go over to it
// with its next write. A Log on stdout, stderr or an io.Writer has nothing to reopen; nil then. On an error the old file
// stays in use.
func (l *Log) Reopen() error {
	if l.path == "" {
		return nil
	}
	f, err := open(l.path)
	if err != nil {
		return err
	}
	if old := l.next.Swap(f); old != nil {
		old.Close()
	}
	signal(l.wake)
	return nil
}

// adopt goes over to a reopened file. Only the writer goroutine calls it.
func (l *Log) adopt() {
	if f := l.next.Swap(nil); f != nil {
		l.out.(*os.File).Close()
		l.out = f
	}
}

// closeFile ends the writer's use of files. A Reopen that runs beside Close may leave one in next for the collector.
func (l *Log) closeFile() {
	l.adopt()
	if f, ok := l.out.(*os.File); ok && l.opened {
		f.Close()
	}
}
