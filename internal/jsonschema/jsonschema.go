// Package jsonschema checks decoded JSON against JSON Schemas and words what is
// wrong as APISIX's validator does (spec: api7/jsonschema), which its clients
// match on.
package jsonschema
