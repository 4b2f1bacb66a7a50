package jsonvalue

import (
	"encoding/json"
	"math"
	"reflect"
	"testing"
)

func TestDecodeTakesOneValue(t *testing.T) {
	for text, ok := range map[string]bool{`{"a":[1]}`: true, ` null `: true, ``: false, `{"a":`: false, `1 2`: false, `{}}`: false} {
		if _, err := Decode([]byte(text)); (err == nil) != ok {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestWrittenAsRead(t *testing.T) {
	const text = `{"a":[1.0,1e3,0.10,12345678901234567890,"<&>",null,true],"b":{}}`
	v, err := Decode([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := Encode(v); err != nil || string(got) != text {
		t.Errorf("got %s, %v", got, err)
	}
	if _, err := Encode(math.NaN()); err == nil {
		t.Error("NaN has a form in JSON")
	}
}

func TestWholeNumbersFitIntegers(t *testing.T) {
	v, err := Decode([]byte(`{"n":[1.0,1e3,-2.50e1,7],"f":1.5,"raw":{"as":"<b>"}}`))
	if err != nil {
		t.Fatal(err)
	}
	before, _ := Encode(v)
	var to struct {
		N   []int
		F   float64
		Raw json.RawMessage
	}
	if err := Into(v, &to); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(to.N, []int{1, 1000, -25, 7}) || to.F != 1.5 || string(to.Raw) != `{"as":"<b>"}` {
		t.Errorf("got %+v", to)
	}
	if after, _ := Encode(v); string(after) != string(before) {
		t.Errorf("the value itself became %s", after)
	}
	for _, text := range []string{`1.5`, `1e300`, `1e999`, `9007199254740993.5`} {
		v, _ := Decode([]byte(text))
		if err := Into(v, new(int)); err == nil {
			t.Errorf("%s fits an integer", text)
		}
	}
}

func TestClonesShareNothing(t *testing.T) {
	v := map[string]any{"a": []any{map[string]any{"b": json.Number("1")}}}
	c := Clone(v).(map[string]any)
	c["a"].([]any)[0].(map[string]any)["b"] = "changed"
	if got := v["a"].([]any)[0].(map[string]any)["b"]; got != json.Number("1") {
		t.Errorf("the original has %v", got)
	}
}
