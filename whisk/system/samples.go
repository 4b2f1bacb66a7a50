package system

import _ "embed" // the sources

// Sources of samples.
var (
	//go:embed samples/curl.js
	samplesCurl string
	//go:embed samples/greeting.js
	samplesGreeting string
	//go:embed samples/helloWorld.js
	samplesHelloWorld string
	//go:embed samples/wordCount.js
	samplesWordCount string
)

func init() {
	Register(Package{
		Name:        "samples",
		Annotations: Annotations("description", `"A suite of simple actions to get started with"`),
		Actions: []Action{
			{Name: "curl", Source: samplesCurl, Annotations: Describe("Curl a host URL",
				`[{"name":"payload","required":true,"description":"A host URL"}]`,
				`{"payload":"http://localhost:3233/ping"}`, `{"msg":"pong"}`)},
			{Name: "greeting", Source: samplesGreeting, Annotations: Describe("Returns a friendly greeting",
				`[{"name":"name","required":false,"description":"Who is greeted"},{"name":"place","required":false,"description":"Where they are from"}]`,
				`{"name":"Cat","place":"Chess Room"}`, `{"payload":"Hello, Cat from Chess Room!"}`)},
			{Name: "helloWorld", Source: samplesHelloWorld, Annotations: Describe("Demonstrates logging facilities",
				`[{"name":"payload","required":false,"description":"The message to be logged"}]`,
				`{"payload":"Cat"}`, `{}`)},
			{Name: "wordCount", Source: samplesWordCount, Annotations: Describe("Count words in a string",
				`[{"name":"payload","required":true,"description":"A string"}]`,
				`{"payload":"Five fuzzy felines"}`, `{"count":3}`)},
		},
	})
}
