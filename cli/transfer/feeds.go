package transfer

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"

	"millrace/cli/remote"
	"millrace/whisk"
)

// feed sets up the feed of a trigger as the source's feed says it is, and answers
// a note about what is left to do, if anything is.
func (c *copying) feed(ctx context.Context, feed, trigger string) string {
	name, err := whisk.ParseFullName(feed, c.source)
	if err != nil {
		return "its feed " + feed + " is no name of an action: create the trigger again"
	}
	again := "create its feed " + feed + " again: wsk trigger update " + trigger + " with its parameters"
	var read struct {
		Config map[string]json.RawMessage `json:"config"`
	}
	if err := c.lifecycle(ctx, c.From, name, c.source, trigger, "READ", nil, &read); err != nil || read.Config == nil {
		return again
	}
	if c.DryRun {
		return ""
	}
	name.Namespace = c.here(name.Namespace)
	parameters := feedParameters(read.Config)
	if err := c.lifecycle(ctx, c.To, name, c.target, trigger, "CREATE", parameters, nil); err != nil {
		return again + " (" + err.Error() + ")"
	}
	return ""
}

// feedParameters makes of a feed's configuration what it was created with.
func feedParameters(config map[string]json.RawMessage) map[string]json.RawMessage {
	out := map[string]json.RawMessage{}
	for k, v := range config {
		switch {
		case k == "name" || k == "namespace" || string(v) == "null":
		case k == "payload":
			out["trigger_payload"] = v
		default:
			out[k] = v
		}
	}
	return out
}

// lifecycle calls a feed action.
func (c *copying) lifecycle(ctx context.Context, on *remote.Client, feed whisk.FullName, namespace, trigger, event string, parameters map[string]json.RawMessage, out any) error {
	body := map[string]any{"authKey": on.Key(), "lifecycleEvent": event, "triggerName": "/" + namespace + "/" + trigger}
	for k, v := range parameters {
		body[k] = v
	}
	parts := append([]string{"namespaces", feed.Namespace, "actions"}, strings.Split(strings.TrimPrefix(feed.Path(), feed.Namespace+"/"), "/")...)
	return on.Do(ctx, http.MethodPost, remote.Path(parts...), url.Values{"blocking": {"true"}, "result": {"true"}}, body, out)
}

// apis copies the APIs of the source's API gateway, if it has one.
func (c *copying) apis(ctx context.Context) error {
	var found struct {
		APIs []struct {
			Value struct {
				APIDoc json.RawMessage `json:"apidoc"`
			} `json:"value"`
		} `json:"apis"`
	}
	if err := c.From.Do(ctx, http.MethodGet, "/web/whisk.system/apimgmt/getApi.http", space(c.From), nil, &found); err != nil {
		if !remote.IsStatus(err, http.StatusNotFound) {
			c.Report(Line{Kind: "api", Name: "*", Outcome: Skipped, Note: "the source does not list its APIs: " + err.Error()})
		}
		return nil
	}
	for _, api := range found.APIs {
		var doc struct {
			BasePath string `json:"basePath"`
		}
		if json.Unmarshal(api.Value.APIDoc, &doc) != nil || doc.BasePath == "" {
			c.Report(Line{Kind: "api", Name: "?", Outcome: Skipped, Note: "its document has no base path"})
			continue
		}
		c.putAPI(ctx, doc.BasePath, api.Value.APIDoc)
	}
	return nil
}

func (c *copying) putAPI(ctx context.Context, basePath string, doc json.RawMessage) {
	if c.DryRun {
		c.report("api", basePath, Untouched, "", nil)
		return
	}
	moved := strings.NewReplacer(
		c.From.Host()+"/api/v1/web/"+c.source+"/", c.To.Host()+"/api/v1/web/"+c.target+"/",
		`"namespace":"`+c.source+`"`, `"namespace":"`+c.target+`"`,
	).Replace(compact(doc))
	body := map[string]any{"apidoc": map[string]any{"namespace": "_", "swagger": moved}}
	query := space(c.To)
	query.Set("responsetype", "json")
	err := c.To.Do(ctx, http.MethodPost, "/web/whisk.system/apimgmt/createApi.http", query, body, nil)
	c.report("api", basePath, Created, "", err)
}

func compact(doc json.RawMessage) string {
	var b bytes.Buffer
	if json.Compact(&b, doc) != nil {
		return string(doc)
	}
	return b.String()
}

// space is the query by which the API management knows whose APIs are meant.
func space(on *remote.Client) url.Values {
	uuid, _, _ := strings.Cut(on.Key(), ":")
	return url.Values{"accesstoken": {"DUMMY TOKEN"}, "spaceguid": {uuid}}
}
