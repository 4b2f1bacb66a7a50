package plugin

// BodyPlan is which plugins work on the body of one answer. It is used again for
// other answers.
type BodyPlan struct {
	steps    []bodyStep
	watchers []BodyWatcher
	whole    bool
}

// bodyStep is one of the two.
type bodyStep struct {
	filter   BodyFilter
	streamer BodyStreamer
}

// Reset empties the plan.
func (p *BodyPlan) Reset() {
	clear(p.steps)
	clear(p.watchers)
	p.steps, p.watchers, p.whole = p.steps[:0], p.watchers[:0], false
}

// PlanBody enters the plugins of the chain that want the answer's body. The header
// filters have run.
func (ch *Chain) PlanBody(c *Context, plan *BodyPlan) {
	for _, in := range ch.body {
		if !in.joins(c, PhaseBodyFilter) {
			continue
		}
		if chooser, ok := in.plugin.(BodyChooser); ok && !chooser.WantsBody(c) {
			continue
		}
		switch p := in.plugin.(type) {
		case BodyStreamer:
			plan.steps = append(plan.steps, bodyStep{streamer: p})
		case BodyFilter:
			plan.steps = append(plan.steps, bodyStep{filter: p})
			plan.whole = true
		}
		if w, ok := in.plugin.(BodyWatcher); ok {
			plan.watchers = append(plan.watchers, w)
		}
	}
}

// Empty tells that no plugin wants the body.
func (p *BodyPlan) Empty() bool { return len(p.steps)+len(p.watchers) == 0 }

// Changes tells that the body may become another, with another length.
func (p *BodyPlan) Changes() bool { return len(p.steps) > 0 }

// Whole tells that the plugins can only work on the whole body.
func (p *BodyPlan) Whole() bool { return p.whole }

// Run passes the next part of the body through the plugins and answers what is to
// be sent. If the plan is Whole, the one part is the whole body.
func (p *BodyPlan) Run(c *Context, part []byte, last bool) []byte {
	for i := range p.steps {
		if s := &p.steps[i]; s.filter != nil {
			part = s.filter.FilterBody(c, part)
		} else {
			part = s.streamer.StreamBody(c, part, last)
		}
	}
	if len(part) > 0 {
		for _, w := range p.watchers {
			w.WatchBody(c, part)
		}
	}
	return part
}
