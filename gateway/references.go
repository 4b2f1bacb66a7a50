package gateway

import "millrace/resource"

// reference names a resource by its folder and its id.
type reference struct{ folder, id string }

// users tell who refers to a resource, so that a change of one among many touches
// those alone. Who refers to what is not there is kept too: it may come.
type users map[reference]map[reference]struct{}

// referred are the resources that one refers to; places that are not used are empty.
type referred [4]reference

// referenceTo is the reference to an id, the zero one if there is none.
func referenceTo(folder, id string) reference {
	if id == "" {
		return reference{}
	}
	return reference{folder, id}
}

func routeReferences(r *resource.Route) (to referred) {
	if r == nil {
		return to
	}
	return referred{
		referenceTo("services", string(r.ServiceID)), referenceTo("upstreams", string(r.UpstreamID)),
		referenceTo("plugin_configs", string(r.PluginConfigID)), referenceTo("ssls", clientCertID(r.Upstream)),
	}
}

func serviceReferences(s *serviceConf) (to referred) {
	if s == nil {
		return to
	}
	return referred{referenceTo("upstreams", string(s.UpstreamID)), referenceTo("ssls", clientCertID(s.Upstream))}
}

func upstreamReferences(u *sharedUpstream) (to referred) {
	if u == nil {
		return to
	}
	return referred{referenceTo("ssls", clientCertID(u.conf))}
}

// change notes that a user which referred to before refers to now.
func (u users) change(user reference, before, now referred) {
	if before == now {
		return
	}
	for _, to := range before {
		if of := u[to]; of != nil {
			if delete(of, user); len(of) == 0 {
				delete(u, to)
			}
		}
	}
	for _, to := range now {
		if to.id == "" {
			continue
		}
		if u[to] == nil {
			u[to] = map[reference]struct{}{}
		}
		u[to][user] = struct{}{}
	}
}

// routes calls fn for every route that refers to a resource, itself or through
// what it refers to.
func (u users) routes(to reference, fn func(id string)) {
	for user := range u[to] {
		if user.folder == "routes" {
			fn(user.id)
		} else {
			u.routes(user, fn)
		}
	}
}
