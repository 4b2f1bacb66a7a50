// Package plugins holds the gateway's plugins, one file for each, named as APISIX
// names them. Each enters itself in the registry of package plugin; importing
// this package is all it takes to have them.
package plugins
