package xrpc

// keyFinder tells whether an argument of a command is a key; the name of the command is
// the argument 0.
type keyFinder func(index, total int) bool

// The places of keys.
func firstIsKey(i, _ int) bool         { return i == 1 }
func secondIsKey(i, _ int) bool        { return i == 2 }
func thirdIsKey(i, _ int) bool         { return i == 3 }
func firstTwoAreKeys(i, _ int) bool    { return i == 1 || i == 2 }
func allAreKeys(i, _ int) bool         { return i >= 1 }
func allButFirstAreKeys(i, _ int) bool { return i >= 2 }
func allButLastAreKeys(i, n int) bool  { return i >= 1 && i < n-1 }
func everyOtherIsKey(i, _ int) bool    { return i%2 == 1 }

// keyFinders are those of commands whose only key is not their first argument, by
// COMMAND INFO of Redis.
var keyFinders = map[string]keyFinder{
	"mset": everyOtherIsKey, "msetnx": everyOtherIsKey,
	"blpop": allButLastAreKeys, "brpop": allButLastAreKeys, "bzpopmax": allButLastAreKeys, "bzpopmin": allButLastAreKeys,
	"blmove": firstTwoAreKeys, "brpoplpush": firstTwoAreKeys, "copy": firstTwoAreKeys, "geosearchstore": firstTwoAreKeys,
	"lcs": firstTwoAreKeys, "lmove": firstTwoAreKeys, "rename": firstTwoAreKeys, "renamenx": firstTwoAreKeys,
	"rpoplpush": firstTwoAreKeys, "smove": firstTwoAreKeys, "zrangestore": firstTwoAreKeys,
	"bitop":  allButFirstAreKeys,
	"memory": secondIsKey, "object": secondIsKey, "xgroup": secondIsKey, "xinfo": secondIsKey,
	"migrate": thirdIsKey,
	"del":     allAreKeys, "exists": allAreKeys, "mget": allAreKeys, "pfcount": allAreKeys, "pfmerge": allAreKeys,
	"sdiff": allAreKeys, "sdiffstore": allAreKeys, "sinter": allAreKeys, "sinterstore": allAreKeys, "ssubscribe": allAreKeys,
	"sunion": allAreKeys, "sunionstore": allAreKeys, "sunsubscribe": allAreKeys, "touch": allAreKeys, "unlink": allAreKeys,
	"watch": allAreKeys,
}

// keyFinderOf finds the keys of a command.
func keyFinderOf(command string) keyFinder {
	if find := keyFinders[command]; find != nil {
		return find
	}
	return firstIsKey
}
