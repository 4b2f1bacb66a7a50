package whisk

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
)

// ActionPut is the checked body of PUT actions/{name}. What was not given is nil.
type ActionPut struct {
	Version *Version
	Publish *bool
	Exec    *ExecPut
	// Parameters and Annotations are nil if not given, and empty if given so.
	Parameters, Annotations KeyValues
	// DelAnnotations are removed before Annotations are merged.
	DelAnnotations []string
	Limits         LimitsPatch
}

// ExecPut is the exec object of a PUT body, its kind resolved.
type ExecPut struct {
	Kind   string
	Code   string
	Main   string
	Binary bool // computed from Code
	// Components are a sequence's; a namespace may be _.
	Components []FullName
}

// ParseActionPut reads a PUT body. Errors are *Error: 400 for what is malformed,
// 413 for what is too large.
func ParseActionPut(body []byte, m *Manifest, s *SystemLimits) (*ActionPut, error) {
	fields, err := putFields(body)
	if err != nil {
		return nil, err
	}
	var p ActionPut
	if p.Version, p.Publish, err = parseHead(fields); err != nil {
		return nil, malformed(err)
	}
	if p.Exec, err = parseExec(fields["exec"], m); err != nil {
		return nil, malformed(err)
	}
	if p.Parameters, p.Annotations, err = parseLists(fields); err != nil {
		return nil, malformed(err)
	}
	if raw := fields["delAnnotations"]; !isNull(raw) {
		if int64(len(raw)) > s.Parameters || json.Unmarshal(raw, &p.DelAnnotations) != nil {
			return nil, malformed(detail(MsgAnnotationsMalformed))
		}
	}
	if raw := fields["limits"]; !isNull(raw) {
		if p.Limits, err = ParseLimits(raw); err != nil {
			return nil, malformed(err)
		}
	}
	if p.Exec != nil {
		if size := int64(len(p.Exec.Code) + len(p.Exec.Main)); size > s.Exec {
			return nil, tooLarge("exec", size, s.Exec)
		}
	}
	return &p, checkLists(p.Parameters, p.Annotations, s)
}

// PackagePut is the checked body of PUT packages/{name}. What was not given is nil.
type PackagePut struct {
	Version                 *Version
	Publish                 *bool
	Parameters, Annotations KeyValues
	Binding                 *PackageName // its namespace may be _
}

// ParsePackagePut reads a PUT body. Errors are *Error.
func ParsePackagePut(body []byte, s *SystemLimits) (*PackagePut, error) {
	fields, err := putFields(body)
	if err != nil {
		return nil, err
	}
	var p PackagePut
	if p.Binding, err = parseBinding(fields["binding"]); err != nil {
		return nil, malformed(err)
	}
	if p.Version, p.Publish, err = parseHead(fields); err != nil {
		return nil, malformed(err)
	}
	if p.Parameters, p.Annotations, err = parseLists(fields); err != nil {
		return nil, malformed(err)
	}
	return &p, checkLists(p.Parameters, p.Annotations, s)
}

// parseBinding reads {"namespace":…,"name":…}; absent, null and {} are nil.
func parseBinding(raw json.RawMessage) (*PackageName, error) {
	if isNull(raw) {
		return nil, nil
	}
	fields, err := object(raw)
	if err != nil || len(fields) == 0 {
		return nil, err
	}
	var n PackageName
	if n.Namespace, err = text(fields["namespace"]); err != nil || !ValidName(n.Namespace) {
		return nil, errors.New("namespace malformed")
	}
	if n.Name, err = text(fields["name"]); err != nil || !ValidName(n.Name) {
		return nil, errors.New("entity name malformed")
	}
	return &n, nil
}

func putFields(body []byte) (map[string]json.RawMessage, error) {
	if err := CheckJSON(body); err != nil {
		return nil, malformed(err)
	}
	fields, err := object(body)
	if err != nil {
		return nil, malformed(err)
	}
	return fields, nil
}

func parseHead(fields map[string]json.RawMessage) (*Version, *bool, error) {
	var version *Version
	if raw := fields["version"]; !isNull(raw) {
		s, err := text(raw)
		if err != nil {
			return nil, nil, errors.New(MsgVersionMalformed)
		}
		v, err := ParseVersion(s)
		if err != nil {
			return nil, nil, err
		}
		version = &v
	}
	raw := fields["publish"]
	if isNull(raw) {
		return version, nil, nil
	}
	var publish bool
	if err := json.Unmarshal(raw, &publish); err != nil {
		return nil, nil, errors.New("'publish' must be a boolean")
	}
	return version, &publish, nil
}

func parseLists(fields map[string]json.RawMessage) (parameters, annotations KeyValues, err error) {
	if raw := fields["parameters"]; !isNull(raw) {
		if parameters, err = ParseKeyValues(raw); err != nil {
			return nil, nil, detail(MsgParametersMalformed)
		}
	}
	if raw := fields["annotations"]; !isNull(raw) {
		if annotations, err = ParseKeyValues(raw); err != nil {
			return nil, nil, detail(MsgParametersMalformed) // OpenWhisk has one text for both
		}
	}
	return parameters, annotations, nil
}

func checkLists(parameters, annotations KeyValues, s *SystemLimits) error {
	if n := parameters.Size(); n > s.Parameters {
		return tooLarge("parameters", n, s.Parameters)
	}
	if n := annotations.Size(); n > s.Parameters {
		return tooLarge("annotations", n, s.Parameters)
	}
	return nil
}

func parseExec(raw json.RawMessage, m *Manifest) (*ExecPut, error) {
	if isNull(raw) {
		return nil, nil
	}
	fields, err := object(raw)
	if err != nil {
		return nil, errors.New("'kind' must be a string defined in 'exec'")
	}
	kind, err := text(fields["kind"])
	if err != nil {
		return nil, errors.New("'kind' must be a string defined in 'exec'")
	}
	switch strings.ToLower(strings.TrimSpace(kind)) {
	case KindSequence:
		return parseSequence(fields["components"])
	case KindBlackbox:
		return nil, refuseBlackbox(fields["image"])
	}
	r, err := m.Resolve(kind)
	if err != nil {
		return nil, err
	}
	return parseCode(fields, r)
}

func parseSequence(raw json.RawMessage) (*ExecPut, error) {
	if isNull(raw) {
		return nil, errors.New("'components' must be defined for sequence kind")
	}
	if !IsArray(raw) {
		return nil, errors.New("'components' must be an array")
	}
	list, err := items(raw, maxMembers)
	if err != nil {
		return nil, detail(MsgSequenceTooLong)
	}
	e := &ExecPut{Kind: KindSequence}
	for _, item := range list {
		n, err := parseReference(item)
		if err != nil {
			return nil, err
		}
		e.Components = append(e.Components, n)
	}
	return e, nil
}

// refuseBlackbox says why an action of the user's own image cannot be made:
// nothing here runs images.
func refuseBlackbox(image json.RawMessage) error {
	if _, err := text(image); err != nil {
		return errors.New("'image' must be a string defined in 'exec' for 'blackbox' actions")
	}
	return detail(msgNoImages)
}

// parseCode reads the exec object of an action that is code for runtime r.
func parseCode(fields map[string]json.RawMessage, r *Runtime) (*ExecPut, error) {
	code, err := text(fields["code"])
	if err != nil {
		return nil, errors.New("'code' must be a string or attachment object defined in 'exec' for '" + r.Kind + "' actions")
	}
	e := &ExecPut{Kind: r.Kind, Code: code, Binary: IsBase64(code)}
	switch main := fields["main"]; {
	case isNull(main) && r.RequireMain:
		return nil, errors.New("'main' must be a string defined in 'exec' for '" + r.Kind + "' actions")
	case !isNull(main):
		if e.Main, err = text(main); err != nil {
			return nil, errors.New("if defined, 'main' be a string in 'exec' for '" + r.Kind + "' actions")
		}
	}
	return e, nil
}

// IsBase64 tells whether code counts as binary: it is not empty and the whole of
// it is padded base64 without line breaks.
func IsBase64(code string) bool {
	if code == "" || len(code)%4 != 0 {
		return false
	}
	body := code
	for i := 0; i < 2 && body[len(body)-1] == '='; i++ {
		body = body[:len(body)-1]
	}
	for i := 0; i < len(body); i++ {
		if c := body[i]; c == '_' || !wordChar(c) && c != '+' && c != '/' {
			return false
		}
	}
	return true
}

// detail is an error whose text is for clients, ended as they know it.
type detail string

func (d detail) Error() string { return string(d) }

// malformed is the 400 for a request body that cannot be read.
func malformed(err error) error {
	return &Error{Status: http.StatusBadRequest, Msg: MsgMalformed(err.Error())}
}

func tooLarge(what string, size, limit int64) error {
	return &Error{Status: http.StatusRequestEntityTooLarge, Msg: MsgTooLarge(what, size, limit)}
}
