package wsk

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"
)

// given are the parameters or annotations of a command line in the order of its
// flags. They are read after the flags have been parsed, so that what is wrong
// with one can be said in wsk's words.
type given struct {
	noun string // parameter or annotation, for errors
	list []givenText
}

// givenText is KEY VALUE, or a file with a JSON object.
type givenText struct{ key, value, file string }

// flags of one kind of given.
type (
	pairFlag struct{ to *given }
	fileFlag struct{ to *given }
)

func (f pairFlag) String() string { return "" }
func (f pairFlag) Type() string   { return "KEY VALUE" }
func (f pairFlag) Set(joined string) error {
	key, value, ok := strings.Cut(joined, pairSeparator)
	if !ok {
		return usageError("must be a key/value pair")
	}
	f.to.list = append(f.to.list, givenText{key: key, value: value})
	return nil
}

func (f fileFlag) String() string { return "" }
func (f fileFlag) Type() string   { return "FILE" }
func (f fileFlag) Set(path string) error {
	f.to.list = append(f.to.list, givenText{file: path})
	return nil
}

// addParameters and addAnnotations give a command its flags for them.
func (g *given) addParameters(cmd *cobra.Command) {
	g.noun = "parameter"
	cmd.Flags().VarP(pairFlag{g}, "param", "p", "parameter values in KEY VALUE format")
	cmd.Flags().VarP(fileFlag{g}, "param-file", "P", "FILE containing parameter values in JSON format")
}

func (g *given) addAnnotations(cmd *cobra.Command) {
	g.noun = "annotation"
	cmd.Flags().VarP(pairFlag{g}, "annotation", "a", "annotation values in KEY VALUE format")
	cmd.Flags().VarP(fileFlag{g}, "annotation-file", "A", "FILE containing annotation values in JSON format")
}

// keyValues reads what was given, files included; call it once.
func (g *given) keyValues() (keyValues, error) {
	var all keyValues
	for _, t := range g.list {
		if t.file == "" {
			value := t.json()
			var any json.RawMessage
			if err := json.Unmarshal([]byte(value), &any); err != nil {
				return nil, g.invalid(fmt.Sprintf("{%s: %s}", encode(t.key), value), err)
			}
			all.set(t.key, any)
			continue
		}
		text, err := readFile(t.file)
		if err != nil {
			return nil, err
		}
		if err := all.addObject(text); err != nil {
			return nil, g.invalid(string(text), err)
		}
	}
	return all, nil
}

// invalid is the error about one pair or file, in the notation of the original.
func (g *given) invalid(text string, err error) error {
	return &Error{Msg: fmt.Sprintf("Invalid %s argument '%#v': %s", g.noun, []string{text}, err), Code: exitGeneral, Usage: true}
}

// json takes valid JSON as it is. Anything else stands between quotation marks
// unchanged, as in the original: escapes such as \n have their meaning and a
// quotation mark is an error, which finds mistakes in JSON. Line breaks and
// other control characters, which the original refuses, are escaped.
func (t givenText) json() string {
	if json.Valid([]byte(t.value)) {
		return t.value
	}
	var b strings.Builder
	b.WriteByte('"')
	for i := 0; i < len(t.value); i++ {
		if c := t.value[i]; c < ' ' {
			fmt.Fprintf(&b, "\\u%04x", c)
		} else {
			b.WriteByte(c)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// addObject sets the members of a JSON object in their order.
func (l *keyValues) addObject(text []byte) error {
	var all json.RawMessage
	if err := json.Unmarshal(text, &all); err != nil {
		return err
	}
	d := json.NewDecoder(bytes.NewReader(all))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return errors.New("it does not hold a JSON object")
	}
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return err
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return err
		}
		l.set(key.(string), value)
	}
	return nil
}

// readFile reads a file that the command line names; it may be a pipe such as
// /dev/fd/63.
func readFile(path string) ([]byte, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, usageError("File '%s' is not a valid file or it does not exist", path)
	}
	if err != nil {
		return nil, &Error{Msg: fmt.Sprintf("Unable to read the file '%s': %s", path, err), Code: exitGeneral, Usage: true}
	}
	return text, nil
}
