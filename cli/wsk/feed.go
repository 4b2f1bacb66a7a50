package wsk

import (
	"context"
	"encoding/json"
)

// tellFeed calls the action behind a trigger's feed with an event of the
// trigger's life and shows what it answered. parameters may be nil.
func (a *app) tellFeed(ctx context.Context, c *client, feed, trigger name, event string, parameters keyValues) error {
	parameters = parameters.with(keyValues{
		{Key: "lifecycleEvent", Value: document(encode(event))},
		{Key: "triggerName", Value: document(encode(trigger.full()))},
		{Key: "authKey", Value: document(encode(c.auth))},
	})
	i, err := c.invoke(ctx, feed, parameters, true, false)
	if err == nil {
		failure := a.printInvocation(i)
		if i.failed == nil {
			return failure
		}
		err = i.failed
	}
	return because(err, "Unable to configure feed '%s'", feed.full())
}

// deleteTrigger tells the feed, if there is one, before the trigger is gone.
func (a *app) deleteTrigger(ctx context.Context, c *client, n name, feed json.RawMessage, parameters keyValues) error {
	if feed != nil {
		feedName, err := c.parseName(plain(feed))
		if err != nil {
			return err
		}
		if err := a.tellFeed(ctx, c, feedName, n, "DELETE", parameters); err != nil {
			return err
		}
	}
	return c.remove(ctx, c.entity("triggers", n), nil)
}
