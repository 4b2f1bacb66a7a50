package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/tidwall/gjson"

	"millrace/whisk"
)

func TestDeadLetters(t *testing.T) {
	s := newRealSystem(t, map[string]func(json.RawMessage) (json.RawMessage, error){
		"broken": func(json.RawMessage) (json.RawMessage, error) { return nil, errors.New("boom") },
	})
	s.mustPut("actions/broken", `{"annotations":[{"key":"dead-letter","value":true}]}`)
	const path = "/api/v1/namespaces/_/"
	var ids []string
	for n := range 3 {
		r := s.send("POST", path+"actions/broken", fmt.Sprintf(`{"n":%d}`, n))
		ids = append(ids, gjson.Get(r.body, "activationId").String())
		s.eventually("its letter", path+"deadletters?count=true", func(r reply) bool { return r.body == fmt.Sprintf(`{"deadletters":%d}`, n+1) })
	}
	r := s.send("GET", path+"deadletters/?limit=2", "")
	// Letters of one millisecond have no order among each other.
	if two := gjson.Parse(r.body).Array(); len(two) != 2 || two[0].Get("failed").Int() < two[1].Get("failed").Int() {
		t.Errorf("list: %d %s", r.status, r.body)
	}
	r = s.send("GET", path+"deadletters?skip=2", "")
	letter := gjson.Get(r.body, "0")
	if letter.Get("action").String() != "guest/broken" || letter.Get("status").String() != "action developer error" || letter.Get("payload").Exists() {
		t.Errorf("list: %s", r.body)
	}
	r = s.send("GET", path+"deadletters/"+ids[0], "")
	if r.status != 200 || gjson.Get(r.body, "payload").Raw != `{"n":0}` {
		t.Errorf("letter: %d %s", r.status, r.body)
	}

	r = s.send("POST", path+"deadletters/"+ids[0], "")
	id := gjson.Get(r.body, "activationId").String()
	if r.status != 202 || id == ids[0] || r.header.Get("X-Openwhisk-Activation-Id") != id {
		t.Errorf("redrive: %d %s", r.status, r.body)
	}
	s.eventually("its letter", path+"deadletters/"+id, func(r reply) bool {
		return r.status == 200 && strings.Contains(r.body, `"payload":{"n":0}`)
	})
	r = s.send("DELETE", path+"deadletters/"+ids[1], "")
	if r.status != 200 || gjson.Get(r.body, "activationId").String() != ids[1] {
		t.Errorf("delete: %d %s", r.status, r.body)
	}
	foreign := failed(whisk.MsgForbidden("stranger/" + ids[2]))
	s.run([]step{
		{"GET", "…/deadletters/" + ids[0], "", 404, failed(whisk.MsgNotFound)},
		{"POST", "…/deadletters/" + ids[0], "", 404, failed(whisk.MsgNotFound)},
		{"DELETE", "…/deadletters/" + ids[1], "", 404, failed(whisk.MsgNotFound)},
		{"GET", "…/deadletters/short", "", 400, failed("Activation id length is 5 but must be 32.")},
		{"GET", "…/deadletters?limit=201", "", 400, failed("The query parameter 'limit' was malformed:\nThe value '201' is not in the range of 0 to 200 for deadletters.")},
		{"GET", "…/deadletters?count=true&skip=1", "", 200, `{"deadletters":1}`},
		{"PUT", "…/deadletters/" + ids[2], "", 404, failed(whisk.MsgNoSuchPath)},
		{"GET", "/api/v1/namespaces/stranger/deadletters", "", 403, failed(whisk.MsgForbidden("stranger"))},
		{"GET", "/api/v1/namespaces/stranger/deadletters/" + ids[2], "", 403, foreign},
		{"POST", "/api/v1/namespaces/stranger/deadletters/" + ids[2], "", 403, foreign},
		{"DELETE", "/api/v1/namespaces/stranger/deadletters/" + ids[2], "", 403, foreign},
		{"PUT", "…/actions/bad", `{"exec":{"kind":"go:default","code":"broken"},"annotations":[{"key":"retries","value":"many"}]}`, 400,
			failed(whisk.MsgMalformed("annotation retries: it is a number or an object"))},
	})
}
