package api

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"millrace/whisk"
)

// Bounds of query parameters.
const (
	maxList     = 200
	defaultList = 30
	maxWaitMS   = 60_000
)

func malformedQuery(parameter, detail string) error {
	return &whisk.Error{Status: http.StatusBadRequest, Msg: whisk.MsgQueryMalformed(parameter, detail)}
}

func queryBool(q url.Values, name string, absent bool) (bool, error) {
	if !q.Has(name) {
		return absent, nil
	}
	switch v := q.Get(name); strings.ToLower(v) {
	case "true", "yes", "on", "1":
		return true, nil
	case "false", "no", "off", "0":
		return false, nil
	default:
		return false, malformedQuery(name, "'"+v+"' is not a valid Boolean value")
	}
}

// page is the part of a collection that a client asks for.
type page struct {
	skip, limit int
	count       bool // how many there are, in place of the list
}

func queryPage(q url.Values, collection string) (page, error) {
	p := page{limit: defaultList}
	var err error
	if p.limit, err = queryInt(q, "limit", defaultList, collection); err != nil {
		return p, err
	}
	if p.limit < 0 || p.limit > maxList {
		return p, malformedQuery("limit", fmt.Sprintf("The value '%d' is not in the range of 0 to %d for %s.", p.limit, maxList, collection))
	}
	if p.limit == 0 {
		p.limit = maxList
	}
	if p.skip, err = queryInt(q, "skip", 0, collection); err != nil {
		return p, err
	}
	if p.skip < 0 {
		return p, malformedQuery("skip", fmt.Sprintf("The value '%d' is not greater than or equal to 0 for %s.", p.skip, collection))
	}
	p.count, err = queryBool(q, "count", false)
	return p, err
}

// pageOf answers the page of a collection that a request asks for, or how many the
// collection has.
func pageOf[T any](r *http.Request, collection string, count func() int, list func(skip, limit int) []T, item func([]byte, T) []byte) (answer, error) {
	p, err := queryPage(r.URL.Query(), collection)
	if err != nil {
		return answer{}, err
	}
	if p.count {
		return answer{body: countDocument(collection, count(), p.skip)}, nil
	}
	return answer{body: appendList(nil, list(p.skip, p.limit), item)}, nil
}

func queryInt(q url.Values, name string, absent int, collection string) (int, error) {
	if !q.Has(name) {
		return absent, nil
	}
	n, err := strconv.ParseInt(q.Get(name), 10, 32)
	if err != nil {
		return 0, malformedQuery(name, "The value '"+q.Get(name)+"' is not an integer for "+collection+".")
	}
	return int(n), nil
}

// queryTime reads a bound in milliseconds since 1970; absent is 0.
func queryTime(q url.Values, name string) (int64, error) {
	if !q.Has(name) {
		return 0, nil
	}
	n, err := strconv.ParseInt(q.Get(name), 10, 64)
	if err != nil || n < 0 {
		return 0, malformedQuery(name, "Parameter is not a valid value for epoch seconds: "+q.Get(name))
	}
	return n, nil
}

// queryName reads the name filter of activations: name or package/name.
func queryName(q url.Values) (string, error) {
	v := q.Get("name")
	if v == "" {
		return "", nil
	}
	parts := strings.Split(v, "/")
	for _, part := range parts {
		if len(parts) > 2 || !whisk.ValidName(part) {
			return "", malformedQuery("name", "Parameter may be a 'simple' name or 'package-name/simple' name: "+v)
		}
	}
	return v, nil
}

// queryWait reads how long a blocking call waits.
func queryWait(q url.Values) (time.Duration, error) {
	if !q.Has("timeout") {
		return maxWaitMS * time.Millisecond, nil
	}
	ms, err := strconv.ParseInt(q.Get("timeout"), 10, 64)
	if err != nil {
		return 0, errWait()
	}
	return checkWait(ms)
}

func checkWait(ms int64) (time.Duration, error) {
	if ms < 1 || ms > maxWaitMS {
		return 0, errWait()
	}
	return time.Duration(ms) * time.Millisecond, nil
}

func errWait() error {
	return malformedQuery("timeout", fmt.Sprintf("Timeout must be number of milliseconds up to %d.", maxWaitMS))
}
