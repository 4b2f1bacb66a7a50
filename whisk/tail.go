package whisk

// Tail shows what a call that runs has logged so far.
type Tail interface {
	// Lines answers the lines from the one with this number on (0 is the first),
	// as the record will have them. more is closed when there are more lines, or
	// when the call has ended; ended says that there will be none.
	Lines(from int) (lines []string, more <-chan struct{}, ended bool)
}

// State answers what is known of a call that has not ended, queued or running,
// or nothing.
func (a *Activation) State() string {
	switch {
	case a.Response.Status != Running:
		return ""
	case a.Queued:
		return "queued"
	}
	return "running"
}

// LogsSoFar are the lines of the record, or what a running call has written.
func (a *Activation) LogsSoFar() []string {
	if a.Tail == nil {
		return a.Logs
	}
	lines, _, _ := a.Tail.Lines(0)
	return lines
}
