package http2

// budget is what a client may cost the connection beyond the requests that it has
// answered: every frame that brings nothing takes from it, and answers and time give
// back. It ends floods of all kinds: requests that are reset at once, settings, pings,
// empty frames, windows opened by single bytes.
type budget struct{ left int }

const (
	budgetMost = 2000
	// budgetSecond is what a second gives back.
	budgetSecond = 500
	// budgetAnswer is what a frame of an answer gives back: a client may well follow
	// each with windows for stream and connection, and a ping. A frame that is cut
	// short by a small window gives nothing: such windows come in floods.
	budgetAnswer = 4
	smallWindow  = 1 << 10
)

func (b *budget) give(n int) { b.left = min(budgetMost, b.left+n) }

// take says whether there was something left.
func (b *budget) take(n int) bool {
	b.left -= n
	return b.left >= 0
}

var errFlood = connError{codeEnhanceYourCalm, "frames that bring nothing"}
