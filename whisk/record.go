package whisk

import "strconv"

// AppendJSON appends a record as GET of it answers it, with the given logs.
// Members stand in alphabetical order.
func (a *Activation) AppendJSON(b []byte, logs []string) []byte {
	b = a.appendHead(b)
	b = append(b, `,"logs":[`...)
	for i, line := range logs {
		if i > 0 {
			b = append(b, ',')
		}
		b = AppendString(b, line)
	}
	b = appendText(b, `],"name":`, a.Name)
	b = appendText(b, `,"namespace":`, a.Namespace)
	b = strconv.AppendBool(append(b, `,"publish":`...), a.Publish)
	b = a.Response.AppendJSON(append(b, `,"response":`...))
	b = a.appendStart(b)
	b = appendText(b, `,"subject":`, a.Subject)
	b = appendText(b, `,"version":`, a.Version)
	return append(b, '}')
}

// AppendSummary appends a record as lists show it. Like a trigger's, the record
// of a call that has not ended has no outcome yet.
func (a *Activation) AppendSummary(b []byte) []byte {
	b = a.appendHead(b)
	b = appendText(b, `,"name":`, a.Name)
	b = appendText(b, `,"namespace":`, a.Namespace)
	b = strconv.AppendBool(append(b, `,"publish":`...), a.Publish)
	b = a.appendStart(b)
	if a.End != 0 {
		b = appendInt(b, `,"statusCode":`, int64(a.Response.Status))
	}
	b = appendText(b, `,"version":`, a.Version)
	return append(b, '}')
}

func (a *Activation) appendHead(b []byte) []byte {
	b = appendText(b, `{"activationId":`, a.ID)
	b = append(b, `,"annotations":`...)
	b = a.Annotations.AppendJSON(b)
	if a.Cause != "" {
		b = appendText(b, `,"cause":`, a.Cause)
	}
	if a.End != 0 {
		b = appendInt(b, `,"duration":`, a.Duration)
		b = appendInt(b, `,"end":`, a.End)
	}
	return b
}

func (a *Activation) appendStart(b []byte) []byte {
	b = appendInt(b, `,"start":`, a.Start)
	if state := a.State(); state != "" {
		b = appendText(b, `,"state":`, state)
	}
	return b
}

// AppendJSON appends an outcome as GET of a result answers it.
func (r *Response) AppendJSON(b []byte) []byte {
	b = append(b, '{')
	if len(r.Result) > 0 {
		b = append(append(append(b, `"result":`...), r.Result...), ',')
	}
	if r.Size != nil {
		b = append(appendInt(b, `"size":`, int64(*r.Size)), ',')
	}
	b = appendText(b, `"status":`, r.Status.String())
	b = strconv.AppendBool(append(b, `,"success":`...), r.Status == Success)
	return append(b, '}')
}

func appendText(b []byte, key, s string) []byte { return AppendString(append(b, key...), s) }

func appendInt(b []byte, key string, n int64) []byte {
	return strconv.AppendInt(append(b, key...), n, 10)
}
