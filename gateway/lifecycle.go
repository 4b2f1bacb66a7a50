package gateway

import (
	"time"

	"millrace/gateway/route"
	"millrace/gateway/upstream"
	"millrace/plugin"
)

// snapshot is all that a request is served with. It never changes.
type snapshot struct {
	table    *route.Table[*servedRoute]
	global   *heldChain // the plugins of all global rules
	metadata plugin.Metadata
}

// lifecycle is what a request holds of its snapshot, and how far it has come.
type lifecycle struct {
	route  *servedRoute // nil if none matched
	global *heldChain
	own    *heldChain // the route's chain, or with its consumer's plugins merged in
	// plain: no plugin runs, and nobody asks for what only plugins would see.
	plain bool
	// observed: plugins may ask what came of the call to the upstream.
	observed bool
	plan     plugin.BodyPlan
	// target is the upstream that the request goes to.
	target target
	sent   int64 // bytes to the client
	head   int64 // those of them before the body
	begun  bool  // the answer's head has been made
}

// target is an upstream with what its route adds to it.
type target struct {
	upstream *upstream.Upstream
	timeouts upstream.Timeouts
	refusal  int // status instead of proxying, 0 if all is well
}

func (l *lifecycle) reset() {
	if !l.plain {
		l.plan.Reset()
	}
	*l = lifecycle{plain: true, plan: l.plan, global: noPlugins, own: noPlugins}
}

// match finds the route and takes hold of it and of the global rules. What was
// replaced between the two steps is looked up again.
func (x *exchange) match() {
	for {
		snap := x.g.snapshot.Load()
		if !snap.global.acquire() {
			continue
		}
		s, ext, ok := snap.table.Match(&x.query)
		if ok && !s.chain.acquire() {
			snap.global.release()
			continue
		}
		x.global = snap.global
		if ok {
			x.route, x.own, x.target = s, s.chain, s.target
		}
		x.plain = x.global.Empty() && x.own.Empty() && !x.g.showPlugins.Load()
		if !x.plain {
			x.fill(snap, ext)
		}
		return
	}
}

// fill tells the plugins what they work on.
func (x *exchange) fill(snap *snapshot, ext []byte) {
	c := &x.ctx
	c.Started = time.Now()
	c.Consumers, c.Metadata = &x.g.consumers, snap.metadata
	c.Sizes.Request = int64(x.req.headLength) + max(0, x.req.head.Length)
	if x.route != nil {
		c.Matched = x.route.matched
		c.Matched.Ext = string(ext)
		for _, p := range x.query.Params {
			if c.Matched.Params == nil {
				c.Matched.Params = map[string]string{}
			}
			c.Matched.Params[p.Name] = string(p.Value)
		}
	}
}

// letGo undoes match.
func (x *exchange) letGo() {
	x.global.release()
	x.own.release()
}

// plugins runs the rewrite and access phases: of the global rules, then of the
// route. It answers plugin.ErrExit when a plugin answered the request.
func (x *exchange) plugins() error {
	if x.route != nil && x.route.refusal != 0 {
		return x.ctx.Exit(x.route.refusal, nil)
	}
	if !x.plain {
		if err := x.rewrite(); err != nil {
			return err
		}
		if err := x.global.Access(&x.ctx); err != nil {
			return err
		}
		if err := x.own.Access(&x.ctx); err != nil {
			return err
		}
	}
	if x.route == nil {
		return x.ctx.Exit(404, notFound)
	}
	return nil
}

// rewrite runs the rewrite phases. The plugins of a consumer that they find join
// the request.
func (x *exchange) rewrite() error {
	if err := x.global.Rewrite(&x.ctx); err != nil {
		return err
	}
	if err := x.own.Rewrite(&x.ctx); err != nil {
		return err
	}
	if x.ctx.Consumer.Username == "" || x.route == nil || x.route.scripted {
		return nil
	}
	for {
		group, consumer, ok := x.g.consumers.chainsOf(&x.ctx.Consumer)
		if !ok {
			return x.ctx.Exit(503, nil)
		}
		if group == noPlugins && consumer == noPlugins {
			return nil
		}
		merged := x.g.merged.get(mergedKey{x.own, group, consumer})
		if merged == nil {
			continue
		}
		x.own.release()
		x.own = merged
		return x.own.Rewrite(&x.ctx)
	}
}

// choose settles which upstream the request goes to.
func (x *exchange) choose() error {
	if h := x.ctx.ChosenUpstream(); h != nil {
		x.target = h.(upstreamHandle).target(x.route)
	}
	if x.target.refusal != 0 {
		return x.ctx.Exit(x.target.refusal, nil)
	}
	if !x.plain {
		x.observed = x.global.Observes() || x.own.Observes()
	}
	return nil
}

// beforeProxy runs the phase before a node is called, at every attempt anew.
func (x *exchange) beforeProxy() error {
	if x.plain {
		return nil
	}
	if err := x.global.BeforeProxy(&x.ctx); err != nil {
		return err
	}
	return x.own.BeforeProxy(&x.ctx)
}

// filterHeader runs the header filters and then says whether plugins want the
// answer's body.
func (x *exchange) filterHeader() bool {
	if x.plain {
		return false
	}
	x.global.FilterHeader(&x.ctx)
	x.own.FilterHeader(&x.ctx)
	if x.g.showPlugins.Load() {
		x.namePlugins()
	}
	x.plan.Reset()
	x.global.PlanBody(&x.ctx, &x.plan)
	x.own.PlanBody(&x.ctx, &x.plan)
	return !x.plan.Empty()
}

// logPhase runs when the answer has been sent.
func (x *exchange) logPhase() {
	c := &x.ctx
	c.Sizes.Sent, c.Sizes.SentBody, c.Sizes.Whole = x.sent, max(0, x.sent-x.head), !x.dropped
	if x.req.head.Length < 0 {
		c.Sizes.Request += int64(len(x.req.body))
	}
	defer x.own.Log(c) // whatever happens to those before
	x.global.Log(c)
}

// logUnrouted tells those who hear of every request of one for which no route was
// looked for.
func (x *exchange) logUnrouted() {
	always := x.g.conf.Always
	if always == nil {
		return
	}
	c := &x.ctx
	c.Started = time.Now()
	c.Sizes = plugin.Sizes{Request: int64(x.req.headLength) + max(0, x.req.head.Length), Sent: x.sent, SentBody: max(0, x.sent-x.head), Whole: !x.dropped}
	always.Log(c)
}
