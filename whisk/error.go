package whisk

// Error is a failure that a client of the REST API sees: an HTTP status and the
// text of the body's "error". Err, if any, is for the log only.
type Error struct {
	Status int
	Msg    string
	Err    error
}

func (e *Error) Error() string {
	if e.Err != nil {
		return e.Msg + ": " + e.Err.Error()
	}
	return e.Msg
}

// Unwrap answers the cause.
func (e *Error) Unwrap() error { return e.Err }
