package apis

import "millrace/whisk/system"

// The management's actions. Their package is private: a call that is no web
// request would name its caller itself.
func init() {
	action := func(name, description string) system.Action {
		return system.Action{
			Name: name, Function: "apimgmt/" + name,
			Annotations: append(system.Annotations("web-export", "true", "final", "true"), system.Describe(description, "[]", "{}", "{}")...),
		}
	}
	system.Register(system.Package{
		Name: "apimgmt", Private: true,
		Annotations: system.Annotations("description", `"Management of APIs in front of web actions"`),
		Actions: []system.Action{
			action("createApi", "Make an API, add a path to one, or replace one by a Swagger text"),
			action("getApi", "Show APIs"),
			action("deleteApi", "Delete an API, a path of it or a verb of a path"),
			action("subscriptions", "List, add and remove the clients of an API that asks for keys"),
		},
	})
}
