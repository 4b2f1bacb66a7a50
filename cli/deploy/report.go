package deploy

import (
	"context"
	"fmt"
	"io"
	"strings"
)

// What wskdeploy says at the end.
const (
	msgDeployed      = "Deployment completed successfully."
	msgNotDeployed   = "Deployment did not complete sucessfully. Run `wsk project undeploy` or `millrace deploy --remove` to remove partially deployed assets."
	msgUndeployed    = "Undeployment completed successfully."
	msgNotUndeployed = "Undeployment did not complete sucessfully."
	msgExported      = "Manifest exported successfully."
)

// report writes what happens in wskdeploy's form.
type report struct {
	out  io.Writer
	more bool
}

func newReport(out io.Writer, verbose bool) *report { return &report{out, verbose} }

func (r *report) info(format string, args ...any) {
	fmt.Fprintf(r.out, "Info: "+format+"\n", args...)
}
func (r *report) warn(text string)    { fmt.Fprintf(r.out, "Warning: %s\n", text) }
func (r *report) success(text string) { fmt.Fprintf(r.out, "Success: %s\n", text) }

func (r *report) verbose(format string, args ...any) {
	if r.more {
		r.info(format, args...)
	}
}

// step is the writing or removal of one entity.
type step struct {
	kind, name string
	removal    bool
	// do answers a note for the report, if there is something to say.
	do func(ctx context.Context) (note string, err error)
}

func (st *step) label() string { return st.kind + " [" + st.name + "]" }

// Error is a deployment that ended half way: Left were not done.
type Error struct {
	Step string
	Err  error
	Done int
	Left []string
	// Advice is what to do now.
	Advice string
}

func (e *Error) Error() string {
	text := fmt.Sprintf("%s: %s", e.Step, e.Err)
	if len(e.Left) > 0 {
		text += fmt.Sprintf("\n%d done; not done: %s", e.Done, strings.Join(e.Left, ", "))
	}
	return text + "\n" + e.Advice
}

func (e *Error) Unwrap() error { return e.Err }

// run takes the steps in their order and stops at the first that fails.
func (s *session) run(ctx context.Context, steps []step, success, failure string) error {
	for i := range steps {
		st := &steps[i]
		verb := "deployed"
		if st.removal {
			verb = "undeployed"
		}
		s.report.verbose("%sing %s ...", strings.ToUpper(verb[:1])+strings.TrimSuffix(verb[1:], "ed"), st.label())
		note, err := st.do(ctx)
		if err != nil {
			e := &Error{Step: st.label(), Err: err, Done: i, Advice: failure}
			for _, left := range steps[i+1:] {
				e.Left = append(e.Left, left.label())
			}
			return e
		}
		if note != "" {
			s.report.info("%s %s", st.label(), note)
			continue
		}
		s.report.info("%s has been successfully %s.", st.label(), verb)
	}
	s.report.success(success)
	return nil
}
