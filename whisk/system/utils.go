package system

import _ "embed" // the sources

// Sources of utils.
var (
	//go:embed utils/cat.js
	utilsCat string
	//go:embed utils/date.js
	utilsDate string
	//go:embed utils/echo.js
	utilsEcho string
	//go:embed utils/head.js
	utilsHead string
	//go:embed utils/hosturl.js
	utilsHosturl string
	//go:embed utils/namespace.js
	utilsNamespace string
	//go:embed utils/smash.js
	utilsSmash string
	//go:embed utils/sort.js
	utilsSort string
	//go:embed utils/split.js
	utilsSplit string
)

func init() {
	Register(Package{
		Name:        "utils",
		Annotations: Annotations("description", `"Building blocks that format and assemble data"`),
		Actions: []Action{
			{Name: "cat", Source: utilsCat, Annotations: Describe("Concatenates input into a string",
				`[{"name":"lines","required":true,"description":"An array of strings or numbers"}]`,
				`{"lines":[4,2,3]}`, `{"lines":[4,2,3],"payload":"4\n2\n3"}`)},
			{Name: "date", Source: utilsDate, Annotations: Describe("Current date and time",
				`[]`, `{}`, `{"date":"2016-03-22T00:59:55.961Z"}`)},
			{Name: "echo", Source: utilsEcho, Annotations: Describe("Returns the input",
				`[{"name":"payload","required":false,"description":"Any JSON entity"}]`,
				`{"payload":"Five fuzzy felines"}`, `{"payload":"Five fuzzy felines"}`)},
			{Name: "head", Source: utilsHead, Annotations: Describe("Extract prefix of an array",
				`[{"name":"lines","required":true,"description":"An array of strings"},{"name":"num","required":false,"description":"The length of the prefix"}]`,
				`{"lines":["4","2","3"],"num":2}`, `{"lines":["4","2"],"num":2}`)},
			{Name: "hosturl", Source: utilsHosturl, Annotations: Describe("Constructs the URL of an action, a web action or a trigger",
				`[{"name":"path","required":true,"description":"Name of the action or trigger, with its package"},{"name":"web","required":false,"type":"boolean","description":"The URL is that of a web action"},{"name":"trigger","required":false,"type":"boolean","description":"The URL is that of a trigger"},{"name":"ext","required":false,"description":"Extension of a web action, such as .json"}]`,
				`{"path":"utils/echo","web":true,"ext":".json"}`, `{"url":"http://localhost:3233/api/v1/web/guest/utils/echo.json"}`)},
			{Name: "namespace", Source: utilsNamespace, Annotations: Describe("Returns namespace for the authorization key used to invoke this action",
				`[]`, `{}`, `{"namespace":"guest"}`)},
			{Name: "smash", Source: utilsSmash, Annotations: Describe("Nests all properties under the given field",
				`[{"name":"$fieldName","required":true,"description":"The name of the field"}]`,
				`{"$fieldName":"p","a":"A"}`, `{"p":{"a":"A"}}`)},
			{Name: "sort", Source: utilsSort, Annotations: Describe("Sorts an array",
				`[{"name":"lines","required":true,"description":"An array of strings"}]`,
				`{"lines":["4","2","3"]}`, `{"lines":["2","3","4"],"length":3}`)},
			{Name: "split", Source: utilsSplit, Annotations: Describe("Split a string into an array",
				`[{"name":"payload","required":true,"description":"A string"},{"name":"separator","required":false,"description":"The text at which to split"}]`,
				`{"payload":"one,two,three","separator":","}`, `{"lines":["one","two","three"],"payload":"one,two,three"}`)},
		},
	})
}
