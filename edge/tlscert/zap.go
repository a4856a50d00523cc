package tlscert

import (
	"context"
	"log/slog"
	"slices"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// zapTo gives certmagic, which logs by zap, a way to our logger.
func zapTo(l *slog.Logger) *zap.Logger {
	return zap.New(zapCore{h: l.Handler()})
}

// zapCore is a zapcore.Core over a slog handler. Warnings and errors keep their level; information, of which certmagic
// has eight lines for each certificate, becomes debug, and its debug lines go below.
type zapCore struct {
	h slog.Handler
	// with is what With was given. It is converted only for a line that is written: certmagic gives every handshake a
	// logger of its own, which then says nothing.
	with []zapcore.Field
}

func slogLevel(l zapcore.Level) slog.Level {
	switch {
	case l < zapcore.InfoLevel:
		return slog.LevelDebug - 4
	case l == zapcore.InfoLevel:
		return slog.LevelDebug
	case l == zapcore.WarnLevel:
		return slog.LevelWarn
	}
	return slog.LevelError
}

// Enabled is part of zapcore.Core.
func (c zapCore) Enabled(l zapcore.Level) bool {
	return c.h.Enabled(context.Background(), slogLevel(l))
}

// With is part of zapcore.Core.
func (c zapCore) With(fields []zapcore.Field) zapcore.Core {
	return zapCore{c.h, slices.Concat(c.with, fields)}
}

// Check is part of zapcore.Core.
func (c zapCore) Check(e zapcore.Entry, ce *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if c.Enabled(e.Level) {
		return ce.AddCore(e, c)
	}
	return ce
}

// Write is part of zapcore.Core.
func (c zapCore) Write(e zapcore.Entry, fields []zapcore.Field) error {
	r := slog.NewRecord(e.Time, slogLevel(e.Level), e.Message, 0)
	if e.LoggerName != "" {
		r.AddAttrs(slog.String("part", e.LoggerName))
	}
	r.AddAttrs(attrs(c.with)...)
	r.AddAttrs(attrs(fields)...)
	return c.h.Handle(context.Background(), r)
}

// Sync is part of zapcore.Core. A slog handler holds nothing back.
func (c zapCore) Sync() error { return nil }

func attrs(fields []zapcore.Field) []slog.Attr {
	enc := zapcore.NewMapObjectEncoder()
	out := make([]slog.Attr, 0, len(fields))
	for _, f := range fields {
		clear(enc.Fields)
		f.AddTo(enc)
		for k, v := range enc.Fields {
			out = append(out, slog.Any(k, v))
		}
	}
	return out
}
