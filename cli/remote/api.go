package remote

import (
	"fmt"
	"regexp"
)

// API is what the API management of whisk.system makes an API from: a swagger
// text, or one verb of one path with the action behind it.
type API struct {
	Namespace      string          `json:"namespace"`
	Swagger        string          `json:"swagger,omitempty"`
	BasePath       string          `json:"gatewayBasePath,omitempty"`
	Path           string          `json:"gatewayPath,omitempty"`
	Method         string          `json:"gatewayMethod,omitempty"`
	ID             string          `json:"id,omitempty"`
	APIName        string          `json:"apiName,omitempty"`
	Action         *APIAction      `json:"action,omitempty"`
	PathParameters []PathParameter `json:"pathParameters,omitempty"`
}

// APIAction is the web action behind a verb.
type APIAction struct {
	Name          string `json:"name"`
	Namespace     string `json:"namespace"`
	BackendMethod string `json:"backendMethod"`
	BackendURL    string `json:"backendUrl"`
	Auth          string `json:"authkey"`
	SecureKey     string `json:"secureKey,omitempty"`
}

// PathParameter is a part of a path in braces, in the words of swagger.
type PathParameter struct {
	Name        string `json:"name"`
	In          string `json:"in"`
	Description string `json:"description"`
	Required    bool   `json:"required"`
	Type        string `json:"type"`
}

var inBraces = regexp.MustCompile(`\{([^/{}]+)\}`)

// PathParameters answers the parameters of a path such as /books/{isbn}.
func PathParameters(path string) []PathParameter {
	var all []PathParameter
	for _, match := range inBraces.FindAllStringSubmatch(path, -1) {
		all = append(all, PathParameter{
			Name: match[1], In: "path", Description: fmt.Sprintf("Default description for '%s'", match[1]), Required: true, Type: "string",
		})
	}
	return all
}
