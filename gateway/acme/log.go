package acme

import (
	"context"
	"log/slog"

	"go.uber.org/zap/zapcore"
)

// logCore gives the library's log lines to our log. What it tells of each step is
// for debugging.
type logCore struct {
	log *slog.Logger
}

var _ zapcore.Core = logCore{}

func levelOf(l zapcore.Level) slog.Level {
	switch {
	case l >= zapcore.ErrorLevel:
		return slog.LevelError
	case l == zapcore.WarnLevel:
		return slog.LevelWarn
	}
	return slog.LevelDebug
}

// Enabled implements zapcore.Core.
func (c logCore) Enabled(l zapcore.Level) bool {
	return c.log.Enabled(context.Background(), levelOf(l))
}

// With implements zapcore.Core.
func (c logCore) With(fields []zapcore.Field) zapcore.Core {
	return logCore{c.log.With(attributes(fields)...)}
}

// Check implements zapcore.Core.
func (c logCore) Check(e zapcore.Entry, checked *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if c.Enabled(e.Level) {
		return checked.AddCore(e, c)
	}
	return checked
}

// toldAgain are errors of steps: what they say stands in the error of the whole,
// which is logged as well.
var toldAgain = map[string]bool{
	"challenge failed":                      true,
	"validating authorization":              true,
	"could not get certificate from issuer": true,
}

// Write implements zapcore.Core.
func (c logCore) Write(e zapcore.Entry, fields []zapcore.Field) error {
	level := levelOf(e.Level)
	if toldAgain[e.Message] {
		level = slog.LevelDebug
	}
	c.log.Log(context.Background(), level, "ACME: "+e.Message, attributes(fields)...)
	return nil
}

// Sync implements zapcore.Core.
func (c logCore) Sync() error { return nil }

func attributes(fields []zapcore.Field) []any {
	values := zapcore.NewMapObjectEncoder()
	for _, f := range fields {
		f.AddTo(values)
	}
	var attrs []any
	for name, v := range values.Fields {
		attrs = append(attrs, slog.Any(name, v))
	}
	return attrs
}
