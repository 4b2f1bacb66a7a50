package gateway

import (
	"millrace/plugin"
)

func init() {
	plugin.Register[varPlugin]("test-var", 5, anySchema)
}

// varPlugin shows a template's value in a header of the answer.
type varPlugin struct {
	Template string `json:"template"`
}

func (p *varPlugin) Rewrite(c *plugin.Context) error {
	c.Response.SetHeader("X-Var", plugin.CompileTemplate(p.Template).Expand(c.Lookup()))
	return nil
}
