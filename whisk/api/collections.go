package api

import "net/http"

// emptyCollection lists a collection that this platform has but cannot be added
// to: triggers and rules, which clients ask for when they list a namespace.
func emptyCollection(name string) handler {
	return func(x *exchange, r *http.Request) (answer, error) {
		if err := own(x.caller, x.namespace, x.namespace); err != nil {
			return answer{}, err
		}
		p, err := queryPage(r.URL.Query(), name)
		if err != nil {
			return answer{}, err
		}
		if p.count {
			return answer{body: countDocument(name, 0, 0)}, nil
		}
		return answer{body: []byte("[]")}, nil
	}
}
