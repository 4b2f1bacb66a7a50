package conformance

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// Every endpoint that docs/openwhisk.md names in its first table has a case.
func TestEveryEndpointHasACase(t *testing.T) {
	requests := requestsOf(t)
	doc, err := os.ReadFile("../docs/openwhisk.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(doc), "## Endpoints")
	table, _, found := strings.Cut(table, "\nPort 3234")
	rows := regexp.MustCompile("(?m)^\\| `([A-Z]+ [^`]+)`").FindAllStringSubmatch(table, -1)
	if !found || len(rows) < 40 {
		t.Fatalf("found %d endpoints in the table", len(rows))
	}
	for _, row := range rows {
		endpoint := strings.Replace(row[1], "…", "/api/v1/namespaces/{ns}", 1)
		pattern := regexp.MustCompile("(?m)^" + regexp.MustCompile(`\\\{[a-z]+\\\}`).ReplaceAllString(regexp.QuoteMeta(endpoint), `[^/?]+`) + "$")
		if !pattern.MatchString(requests) {
			t.Errorf("no case of %s", endpoint)
		}
	}
}

// requestsOf lists methods and paths, without queries, of the scripts of OpenWhisk's API.
func requestsOf(t *testing.T) string {
	var all strings.Builder
	for _, s := range readAll(t) {
		for _, c := range s.cases {
			if c.target == "whisk" {
				path, _, _ := strings.Cut(c.path, "?")
				all.WriteString(c.method + " " + path + "\n")
			}
		}
	}
	return all.String()
}
