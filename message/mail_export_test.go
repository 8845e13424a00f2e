package message

// The bounds, for the tests that hold them at n and n+1.
const (
	MaxSrcdoc  = maxSrcdoc
	MaxHeader  = maxHeader
	MaxDecoded = maxDecoded
	MaxDepth   = maxDepth
	MaxParts   = maxParts
)
