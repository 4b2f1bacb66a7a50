//go:build !amd64 && !arm64

package process

const auditArch = 0

var deniedHere []uint32
