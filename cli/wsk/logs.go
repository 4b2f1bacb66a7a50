package wsk

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"github.com/spf13/cobra"
)

// longestEvent bounds a line of a stream of logs, in bytes; an action's logs
// may have 10 MB.
const longestEvent = 16 << 20

func (a *app) activationLogsCommand() *cobra.Command {
	var strip, follow bool
	cmd := a.oneActivation("logs (ACTIVATION_ID | --last)", "get the logs of an activation", "logs for activation", 0,
		func(ctx context.Context, c *client, id string, _ []string) error {
			if follow {
				return a.followLogs(ctx, c, id, strip)
			}
			return a.printLogs(ctx, c, id, strip)
		})
	cmd.Flags().BoolVarP(&strip, "strip", "r", false, "strip timestamp and stream information")
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "print lines as they are written, until the activation ends")
	return cmd
}

// logPrefix is the time stamp and stream before each line of a log.
var logPrefix = regexp.MustCompile(`^\d{4}-\d\d-\d\dT[\d:.]+Z +(?:stdout|stderr): ?`)

func (a *app) printLog(line string, strip bool) {
	if strip {
		line = logPrefix.ReplaceAllString(line, "")
	}
	fmt.Fprintln(a.Out, line)
}

func (a *app) printLogs(ctx context.Context, c *client, id string, strip bool) error {
	var body struct {
		Logs []string `json:"logs"`
	}
	if err := c.get(ctx, c.path(c.namespace, "activations", id, "logs"), nil, &body); err != nil {
		return err
	}
	for _, line := range body.Logs {
		a.printLog(line, strip)
	}
	return nil
}

// followLogs prints the lines of a call while it runs. A platform that does not
// know how answers what has been written at the call's end.
func (a *app) followLogs(ctx context.Context, c *client, id string, strip bool) error {
	resp, err := c.send(ctx, http.MethodGet, c.address(c.path(c.namespace, "activations", id, "logs"), url.Values{"follow": {"true"}}), nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	switch {
	case resp.StatusCode != http.StatusOK:
		text, _ := io.ReadAll(io.LimitReader(resp.Body, longestEvent)) // the status says enough
		return statusError(resp.StatusCode, text)
	case kind != "text/event-stream":
		return a.printLogs(ctx, c, id, strip)
	}
	ended := false
	err = eachEvent(resp.Body, func(name, data string) {
		switch name {
		case "log":
			a.printLog(data, strip)
		case "end":
			ended = true
		}
	})
	if err == nil && !ended {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return &Error{Msg: "The stream of logs broke off: " + err.Error(), Code: exitNetwork}
	}
	return nil
}

// eachEvent reads a stream of server-sent events, of which it hands over name
// and data.
func eachEvent(stream io.Reader, use func(name, data string)) error {
	lines := bufio.NewScanner(stream)
	lines.Buffer(nil, longestEvent)
	name := ""
	var data []string
	for lines.Scan() {
		field, value, _ := strings.Cut(lines.Text(), ":")
		value = strings.TrimPrefix(value, " ")
		switch field {
		case "data":
			data = append(data, value)
		case "event":
			name = value
		case "":
			if lines.Text() != "" {
				continue // a comment, which keeps the connection open
			}
			if len(data) > 0 {
				use(name, strings.Join(data, "\n"))
			}
			name, data = "", nil
		}
	}
	return lines.Err()
}
