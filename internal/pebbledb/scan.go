package pebbledb

import "github.com/cockroachdb/pebble/v2"

// Scan calls fn with all keys from lower to before upper, in order, until it
// answers an error, which Scan then answers too. Key and value are valid only
// during the call.
func Scan(r pebble.Reader, lower, upper []byte, fn func(key, value []byte) error) error {
	it, err := r.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: upper})
	if err != nil {
		return err
	}
	defer it.Close()
	for ok := it.First(); ok; ok = it.Next() {
		if err := fn(it.Key(), it.Value()); err != nil {
			return err
		}
	}
	return it.Error()
}
