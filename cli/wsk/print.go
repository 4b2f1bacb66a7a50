package wsk

import (
	"encoding/json"
	"fmt"
	"io"

	"millrace/internal/jsonvalue"
)

// ok prints one line about a success.
func (a *app) ok(format string, args ...any) { a.okTo(a.Out, format, args...) }

func (a *app) okTo(w io.Writer, format string, args ...any) {
	fmt.Fprintf(w, "%s %s\n", a.paint("32", "ok:"), fmt.Sprintf(format, args...))
}

// heading prints the title of a list.
func (a *app) heading(title string) { fmt.Fprintln(a.Out, a.paint("1", title)) }

// paint colours text on a terminal.
func (a *app) paint(code, text string) string {
	if !a.Color {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

// json prints a value as wsk does, indented by four spaces.
func (a *app) json(v any) { a.jsonTo(a.Out, v) }

func (a *app) jsonTo(w io.Writer, v any) {
	fmt.Fprintf(w, "%s\n", indented(encode(v), "    "))
}

// sorted answers a document with the members of its objects in alphabetical
// order, in which wsk prints what an action answered.
func sorted(document []byte) json.RawMessage {
	v, err := jsonvalue.Decode(document)
	if err != nil {
		return document
	}
	return encode(v)
}

// document is JSON of the API that is shown with its members in alphabetical
// order, as the original prints what it has no fields for.
type document json.RawMessage

func (d *document) UnmarshalJSON(text []byte) error {
	*d = document(sorted(text))
	return nil
}

func (d document) MarshalJSON() ([]byte, error) {
	if d == nil {
		return []byte("null"), nil
	}
	return d, nil
}
