package whisk

import (
	"errors"
	"strconv"
	"strings"
)

// Version is the semantic version of an entity.
type Version struct{ Major, Minor, Patch int }

// FirstVersion is what a new entity has unless the client says otherwise.
var FirstVersion = Version{Patch: 1}

// ParseVersion reads "1", "1.2" or "1.2.3"; missing parts are 0. 0.0.0 is no
// version. The error's text is for clients.
func ParseVersion(s string) (Version, error) {
	malformed := errors.New(MsgVersionMalformed)
	parts := strings.Split(s, ".")
	if len(parts) > 3 {
		return Version{}, malformed
	}
	var n [3]int
	for i, p := range parts {
		v, err := strconv.ParseUint(p, 10, 31)
		if err != nil {
			return Version{}, malformed
		}
		n[i] = int(v)
	}
	v := Version{n[0], n[1], n[2]}
	if v == (Version{}) {
		return Version{}, malformed
	}
	return v, nil
}

func (v Version) String() string {
	return strconv.Itoa(v.Major) + "." + strconv.Itoa(v.Minor) + "." + strconv.Itoa(v.Patch)
}

// NextVersion is what an update of an entity with this version gets. A stored
// version that cannot be read starts again at the first one.
func NextVersion(s string) string {
	v, err := ParseVersion(s)
	if err != nil {
		return FirstVersion.String()
	}
	v.Patch++
	return v.String()
}
